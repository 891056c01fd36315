//! The bytes between the runtime and a plugin, both ways, without any I/O: NRI's multiplexer around ttrpc. Own code
//! since it is small, and since every length in it comes from outside and has to be bounded.
//!
//! ```text
//! trunk:  [connection u32][length u32][payload] …        big endian (nri pkg/net/multiplex)
//! ttrpc:  [length u32][stream u32][type u8][flags u8][body]   split over payloads anywhere (ttrpc PROTOCOL.md)
//! ```

/// The largest body of one ttrpc message (ttrpc channel.go, `messageLengthMax`).
pub const MAX_BODY: usize = 4 << 20;

/// The largest frame we write, header included: the runtime reads through a 4 KiB buffer, and its multiplexer fails with
/// ENOMEM when a frame does not fit.
pub const MAX_WRITTEN_FRAME: usize = 4096;

const TRUNK_HEADER: usize = 8;
const MESSAGE_HEADER: usize = 10;

/// Which of the logical connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Connection {
    /// The runtime calls the plugin.
    Plugin,
    /// The plugin calls the runtime.
    Runtime,
}

impl Connection {
    fn id(self) -> u32 {
        match self {
            Self::Plugin => 1,
            Self::Runtime => 2,
        }
    }

    fn of(id: u32) -> Option<Self> {
        [Self::Plugin, Self::Runtime].into_iter().find(|connection| connection.id() == id)
    }
}

/// What a ttrpc message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A call.
    Request,
    /// The answer to one.
    Response,
}

/// One ttrpc message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it came from, or goes.
    pub connection: Connection,
    /// Ties the response to the request.
    pub stream: u32,
    /// Call or answer.
    pub kind: Kind,
    /// The encoded ttrpc request or response.
    pub body: Vec<u8>,
}

/// Bytes that are no NRI conversation. The connection is of no use after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame of the trunk is too long.
    #[error("frame of {found} bytes on connection {connection}, accepted are at most {}", MAX_BODY + MESSAGE_HEADER)]
    Frame {
        /// Number of the logical connection.
        connection: u32,
        /// Its length.
        found: usize,
    },
    /// A ttrpc message is too long.
    #[error("ttrpc message of {found} bytes, accepted are at most {MAX_BODY}")]
    Body {
        /// Its length.
        found: usize,
    },
    /// A ttrpc message of a type that has no place here: NRI uses no streams.
    #[error("ttrpc message of type {found}, accepted are 1 (request) and 2 (response)")]
    Kind {
        /// Its type.
        found: u8,
    },
}

/// Takes the trunk's bytes as they come and gives the messages that are complete. Memory is bounded by what was fed and
/// one unfinished message for each connection: a length in a header never reserves anything.
#[derive(Debug, Default)]
pub struct Decoder {
    header: Vec<u8>,
    into: Option<Connection>,
    left: usize,
    plugin: Vec<u8>,
    runtime: Vec<u8>,
}

impl Decoder {
    /// Feeds bytes, in any portions. Payload of connections that we do not know is dropped, as the runtime's own side
    /// does.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Message>, FrameError> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(TRUNK_HEADER - self.header.len()));
                self.header.extend_from_slice(head);
                bytes = rest;
                self.begin_frame()?;
                continue;
            }
            let (payload, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= payload.len();
            bytes = rest;
            let Some(connection) = self.into else { continue };
            let buffer = match connection {
                Connection::Plugin => &mut self.plugin,
                Connection::Runtime => &mut self.runtime,
            };
            buffer.extend_from_slice(payload);
            take_messages(connection, buffer, &mut messages)?;
        }
        Ok(messages)
    }

    fn begin_frame(&mut self) -> Result<(), FrameError> {
        let (Some(connection), Some(length)) = (number(&self.header, 0), number(&self.header, 4)) else {
            return Ok(());
        };
        self.header.clear();
        let found = length as usize;
        if found > MAX_BODY + MESSAGE_HEADER {
            return Err(FrameError::Frame { connection, found });
        }
        self.into = Connection::of(connection);
        self.left = found;
        Ok(())
    }
}

fn take_messages(
    connection: Connection,
    buffer: &mut Vec<u8>,
    messages: &mut Vec<Message>,
) -> Result<(), FrameError> {
    let mut at = 0;
    while let Some(rest) = buffer.get(at..).filter(|rest| rest.len() >= MESSAGE_HEADER) {
        let (Some(length), Some(stream)) = (number(rest, 0), number(rest, 4)) else { break };
        let length = length as usize;
        if length > MAX_BODY {
            return Err(FrameError::Body { found: length });
        }
        let kind = match rest[8] {
            1 => Kind::Request,
            2 => Kind::Response,
            found => return Err(FrameError::Kind { found }),
        };
        let Some(body) = rest.get(MESSAGE_HEADER..MESSAGE_HEADER + length) else { break };
        messages.push(Message { connection, stream, kind, body: body.to_vec() });
        at += MESSAGE_HEADER + length;
    }
    buffer.drain(..at);
    // An oversized Synchronize must not keep its 4 MiB for the life of the connection.
    if buffer.is_empty() && buffer.capacity() > (64 << 10) {
        *buffer = Vec::new();
    }
    Ok(())
}

/// The bytes of one message, in frames of at most [`MAX_WRITTEN_FRAME`].
pub fn encode(message: &Message) -> Vec<u8> {
    let kind = match message.kind {
        Kind::Request => 1,
        Kind::Response => 2,
    };
    let mut inner = Vec::with_capacity(MESSAGE_HEADER + message.body.len());
    inner.extend_from_slice(&length_of(&message.body));
    inner.extend_from_slice(&message.stream.to_be_bytes());
    inner.extend_from_slice(&[kind, 0]);
    inner.extend_from_slice(&message.body);
    let mut bytes = Vec::with_capacity(inner.len() + TRUNK_HEADER);
    for part in inner.chunks(MAX_WRITTEN_FRAME - TRUNK_HEADER) {
        bytes.extend_from_slice(&message.connection.id().to_be_bytes());
        bytes.extend_from_slice(&length_of(part));
        bytes.extend_from_slice(part);
    }
    bytes
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let connection = prop_oneof![Just(Connection::Plugin), Just(Connection::Runtime)];
        let kind = prop_oneof![Just(Kind::Request), Just(Kind::Response)];
        let body = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64),
            proptest::collection::vec(any::<u8>(), 4000..9000),
        ];
        (connection, any::<u32>(), kind, body).prop_map(|(connection, stream, kind, body)| Message {
            connection,
            stream,
            kind,
            body,
        })
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded_however_it_is_cut(
            messages in proptest::collection::vec(message(), 0..6),
            cut in 1usize..5000,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(encode).collect();
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for part in bytes.chunks(cut) {
                found.extend(decoder.feed(part).unwrap());
            }
            prop_assert_eq!(found, messages);
        }

        #[test]
        fn no_frame_of_ours_is_too_long(message in message()) {
            let bytes = encode(&message);
            let mut at = 0;
            while at < bytes.len() {
                let length = number(&bytes, at + 4).unwrap() as usize + TRUNK_HEADER;
                prop_assert!(length <= MAX_WRITTEN_FRAME);
                at += length;
            }
            prop_assert_eq!(at, bytes.len());
        }

        #[test]
        fn any_bytes_are_taken_and_nothing_grows_beyond_them(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6),
        ) {
            let mut decoder = Decoder::default();
            let mut fed = 0;
            for part in &parts {
                fed += part.len();
                let Ok(messages) = decoder.feed(part) else { break };
                let held: usize = messages.iter().map(|message| message.body.len()).sum();
                prop_assert!(held + decoder.plugin.len() + decoder.runtime.len() <= fed);
            }
        }
    }

    #[test]
    fn a_message_is_put_together_from_frames_of_both_connections() {
        let long =
            Message { connection: Connection::Plugin, stream: 7, kind: Kind::Request, body: vec![1; 6000] };
        let short =
            Message { connection: Connection::Runtime, stream: 1, kind: Kind::Response, body: vec![2] };
        let (first, second) = {
            let bytes = encode(&long);
            let (first, second) = bytes.split_at(MAX_WRITTEN_FRAME);
            (first.to_vec(), second.to_vec())
        };
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(&first).unwrap(), []);
        assert_eq!(decoder.feed(&encode(&short)).unwrap(), [short]);
        assert_eq!(decoder.feed(&second).unwrap(), [long]);
    }

    #[test]
    fn lengths_beyond_the_protocol_end_the_conversation() {
        let mut frame = 1u32.to_be_bytes().to_vec();
        frame.extend_from_slice(&u32::MAX.to_be_bytes());
        let error = Decoder::default().feed(&frame).unwrap_err();
        assert_eq!(error, FrameError::Frame { connection: 1, found: u32::MAX as usize });

        let mut frame = 1u32.to_be_bytes().to_vec();
        frame.extend_from_slice(&10u32.to_be_bytes());
        frame.extend_from_slice(&[0x7f, 0, 0, 0, 0, 0, 0, 1, 1, 0]);
        let error = Decoder::default().feed(&frame).unwrap_err();
        assert_eq!(error, FrameError::Body { found: 0x7f00_0000 });
    }

    #[test]
    fn unknown_connections_are_passed_over() {
        let mut bytes = 9u32.to_be_bytes().to_vec();
        bytes.extend_from_slice(&3u32.to_be_bytes());
        bytes.extend_from_slice(&[1, 2, 3]);
        let known = Message { connection: Connection::Plugin, stream: 1, kind: Kind::Request, body: vec![] };
        bytes.extend(encode(&known));
        assert_eq!(Decoder::default().feed(&bytes).unwrap(), [known]);
    }
}
