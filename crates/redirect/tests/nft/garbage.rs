//! Whatever bytes come, nothing panics.

use meshward_redirect::Mesh;
use meshward_redirect::nft::{Answer, Transactions, describe_dump};
use proptest::collection::vec;
use proptest::prelude::*;

/// Attributes with right lengths (mostly), nested, of the types that mean something.
fn attrs() -> impl Strategy<Value = Vec<u8>> {
    let names =
        ["meta", "cmp", "bitwise", "payload", "lookup", "immediate", "ct", "nat", "redir", "log", "range"];
    let leaf = prop_oneof![
        vec(any::<u8>(), 0..24),
        any::<u8>().prop_map(|n| vec![0, 0, 0, n % 24]),
        proptest::sample::select(names.to_vec()).prop_map(|name| [name.as_bytes(), &[0]].concat()),
        Just(b"meshward_istio\0".to_vec()),
    ];
    let attr = |kind: u16, lie: i16, data: Vec<u8>| {
        let length = (data.len() as i16 + 4).wrapping_add(if lie % 16 == 0 { lie } else { 0 }) as u16;
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let one = (0u16..13, any::<i16>(), leaf).prop_map(move |(kind, lie, data)| attr(kind, lie, data));
    one.prop_recursive(4, 64, 8, move |inner| {
        (0u16..13, any::<i16>(), vec(inner, 0..8))
            .prop_map(move |(kind, lie, inner)| attr(kind | 0x8000, lie, inner.concat()))
    })
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![(0u16..20).prop_map(|kind| 10 << 8 | kind), 0u16..20];
    (kind, any::<u16>(), 0u32..8, any::<[u8; 4]>(), any::<bool>(), vec(attrs(), 0..8)).prop_map(
        |(kind, flags, sequence, mut generic, inet, attrs)| {
            if inet {
                generic[0] = 1;
            }
            let table = [&19u16.to_ne_bytes()[..], &1u16.to_ne_bytes(), b"meshward_istio\0\0"].concat();
            let body = [&generic[..], &table, &attrs.concat()].concat();
            let mut bytes = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
            bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
            bytes.extend([sequence.to_ne_bytes(), 7u32.to_ne_bytes()].concat());
            bytes.extend(body);
            bytes
        },
    )
}

fn feed(bytes: &[u8]) {
    let answer = Answer::parse(bytes, 1, 4);
    assert!(answer.refusals.iter().all(|(place, errno)| *place < 4 && *errno != 0));
    assert!(!describe_dump(bytes, "meshward_istio").is_empty());
    let mut transactions = Transactions::new(Mesh::Istio);
    transactions.hear(bytes);
    while transactions.next_event().is_some() {}
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in vec(any::<u8>(), 0..4096)) {
        feed(&bytes);
    }

    #[test]
    fn any_messages_are_read(messages in vec(message(), 0..8), cut in any::<prop::sample::Index>()) {
        let bytes = messages.concat();
        feed(&bytes);
        feed(&bytes[..cut.index(bytes.len() + 1)]);
    }
}

#[test]
fn answers_are_told_apart() {
    let reply = |sequence: u32, code: i32| {
        let mut bytes = 36u32.to_ne_bytes().to_vec();
        bytes.extend([2u16.to_ne_bytes(), 0u16.to_ne_bytes()].concat());
        bytes.extend([sequence.to_ne_bytes(), 0u32.to_ne_bytes()].concat());
        bytes.extend(code.to_ne_bytes());
        bytes.extend([0; 16]);
        bytes
    };
    let acknowledged = Answer::parse(&reply(13, 0), 10, 4);
    assert_eq!(acknowledged, Answer { refusals: vec![], acknowledged: true });
    let bytes = [reply(11, -2), reply(12, -95), reply(13, 0), reply(9, -1), reply(14, -1)].concat();
    let refused = Answer::parse(&bytes, 10, 4);
    assert_eq!(refused, Answer { refusals: vec![(1, 2), (2, 95)], acknowledged: true });
}
