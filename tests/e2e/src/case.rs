//! A case: a name that says what has to hold, and how it is tried.

use anyhow::Result;
use futures::future::LocalBoxFuture;

use crate::bed::Bed;

/// What a case cannot do without. Cases that do not fit a run are told, and do not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Only the API, images in the cluster, and the agent.
    Cluster,
    /// The node's own files, processes and network: the cluster of this repository.
    Node,
    /// As [`Needs::Node`], and a real Envoy.
    Envoy,
    /// As [`Needs::Node`], and a real Istio.
    Istio,
    /// The controller, and only the API.
    Controller,
    /// The controller, and the node that it runs on.
    ControllerNode,
    /// The controller, the node, and the agent on it.
    ControllerAgent,
    /// As [`Needs::ControllerAgent`], and a real Istio.
    ControllerIstio,
    /// As [`Needs::ControllerNode`], and a real Kyverno.
    ControllerKyverno,
    /// As [`Needs::ControllerAgent`], and what the chart's options need of other projects.
    ControllerOperators,
}

impl Needs {
    /// Whether the controller has to be installed; without one, nothing is changed or refused on its way in.
    pub fn controller(self) -> bool {
        matches!(
            self,
            Self::Controller
                | Self::ControllerNode
                | Self::ControllerAgent
                | Self::ControllerIstio
                | Self::ControllerKyverno
                | Self::ControllerOperators
        )
    }

    /// Whether the agent has to be installed.
    pub fn agent(self) -> bool {
        !matches!(self, Self::Controller | Self::ControllerNode | Self::ControllerKyverno)
    }
}

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// A sentence.
    pub name: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// Whether nothing else may run meanwhile: it restarts the agent, or disturbs the node.
    pub alone: bool,
    /// Tries it.
    pub run: for<'a> fn(&'a Bed) -> LocalBoxFuture<'a, Result<()>>,
}

/// `case!("a sentence", Node, path::to::function)`; with `alone` in front of the sentence for one that disturbs others.
#[macro_export]
macro_rules! case {
    (alone $name:literal, $needs:ident, $run:path) => {
        $crate::Case { alone: true, ..$crate::case!($name, $needs, $run) }
    };
    ($name:literal, $needs:ident, $run:path) => {
        $crate::Case {
            name: $name,
            needs: $crate::Needs::$needs,
            alone: false,
            run: |bed| Box::pin($run(bed)),
        }
    };
}
