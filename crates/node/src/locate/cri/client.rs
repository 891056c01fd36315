//! CRI's calls on tonic's codec. Every call is bounded in time and size.

use std::time::Duration;

use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// What the kubelet allows too (pkg/kubelet/cri/remote, `maxMsgSize`).
const LARGEST: usize = 16 << 20;

/// A connected runtime.
#[derive(Debug, Clone)]
pub(super) struct Client {
    grpc: Grpc<Channel>,
    timeout: Duration,
}

impl Client {
    pub(super) fn new(channel: Channel, timeout: Duration) -> Self {
        Self { grpc: Grpc::new(channel).max_decoding_message_size(LARGEST), timeout }
    }

    /// How long a call may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) async fn unary<Q, R>(&self, method: &'static str, question: Q) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        let call = async move {
            grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(method);
            grpc.unary(Request::new(question), path, ProstCodec::<Q, R>::default()).await
        };
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {:?}", self.timeout))),
        }
    }

    /// A stream, perhaps without an end. Only its beginning is bounded in time: a runtime answers it when it has something to
    /// say, so waiting for that is the caller's matter.
    pub(super) async fn stream<Q, R>(
        &self,
        method: &'static str,
        question: Request<Q>,
    ) -> Result<Streaming<R>, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(method);
        let codec = ProstCodec::<Q, R>::default();
        Ok(grpc.server_streaming(question, path, codec).await?.into_inner())
    }
}
