//! Rule sets from a file, and what holds for every rule set whatever it was made from.

use meshward_redirect::net::Family;
use meshward_redirect::trace::{Direction, Environment, PacketSpec};
use meshward_redirect::{Action, RuleSet, nft, render, trace};

/// The JSON of a rule set, as a file given on the command line.
pub fn ruleset_json(data: &[u8]) {
    match RuleSet::from_json(data) {
        Ok(rules) => check_rules(&rules),
        Err(error) => super::check_message(&error.to_string()),
    }
    // Renderers may be given what was never checked: it need not make sense, but it must not panic.
    if let Ok(rules) = serde_json::from_slice::<RuleSet>(data) {
        render::nft::render(&rules);
        render::iptables::render(&rules);
        let _ = nft::encode(&rules);
        let _ = rules.validate();
        assert!(!rules.to_string().is_empty());
    }
}

/// What every rule set that is put in force, printed or traced keeps to.
pub fn check_rules(rules: &RuleSet) {
    assert_eq!(rules.validate(), Ok(()));
    check_json(rules);
    check_nft(rules);
    check_iptables(rules);
    assert_eq!(
        rules.to_string().lines().filter(|line| line.starts_with("-A ")).count(),
        rules.rules().count()
    );
    check_traces(rules);
    match nft::encode(rules) {
        Ok(bytes) => assert!(!nft::describe_dump(&bytes, &rules.mesh.table_name()).is_empty()),
        Err(nft::NftError::Inexpressible { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// Packets of both directions, protocols and families; each way ends, and can be explained.
fn check_traces(rules: &RuleSet) {
    for (direction, protocol, destination) in [
        (Direction::Out, "tcp", "10.0.0.7:443"),
        (Direction::Out, "udp", "[fd00::7]:53"),
        (Direction::In, "tcp", "[fd00::2]:80"),
        (Direction::In, "udp", "127.0.0.1:53"),
    ] {
        let packet = PacketSpec::new(direction, protocol, destination).unwrap();
        match packet.trace(rules, &Environment::default()) {
            Ok(trace) => assert!(!trace.explain(true).is_empty()),
            Err(error) => assert_eq!(error, trace::Error::TooLong),
        }
    }
}

fn check_json(rules: &RuleSet) {
    let json = serde_json::to_vec(rules).unwrap();
    assert_eq!(&RuleSet::from_json(&json).unwrap(), rules);
    assert_eq!(rules.fingerprint().len(), "meshward v1 ".len() + 32);
}

/// One line for each rule, whatever its values say: nothing of them ends a line, a quote or a block.
fn check_nft(rules: &RuleSet) {
    let text = render::nft::render(rules);
    check_printable(&text);
    let chains: Vec<_> = rules.tables.iter().flat_map(|table| &table.chains).collect();
    let written = rules.rules().filter(|(_, _, rule)| rule.can_match()).count();
    let base = chains.iter().filter(|chain| chain.hook.is_some()).count();
    assert_eq!(text.lines().count(), 5 + 3 * chains.len() + 2 * base + written, "{text}");
    for line in text.lines().filter(|line| line.starts_with("\t\t") && line.contains("counter")) {
        let quotes = line.bytes().filter(|byte| *byte == b'"').count();
        assert!(quotes % 2 == 0 && line.ends_with('"'), "{line}");
        let outside: String = line.split('"').step_by(2).collect();
        let plain = |c: char| c.is_ascii_alphanumeric() || "\t _.:,/-!=&@{}[]<>".contains(c);
        assert!(outside.chars().all(plain), "{line}");
    }
}

fn check_iptables(rules: &RuleSet) {
    for family in Family::BOTH {
        let text = render::iptables::render_family(rules, family);
        check_printable(&text);
        meshward_redirect::iptables::Saved::parse(&text).unwrap();
        for line in text.lines() {
            let known =
                ["*", ":MESHWARD_", "-A MESHWARD_", "-A PREROUTING -j MESHWARD_", "-A OUTPUT -j MESHWARD_"];
            assert!(line == "COMMIT" || known.iter().any(|start| line.starts_with(start)), "{line}");
            // fgets with `char buffer[10240]` in iptables/iptables-restore.c: a longer line is read as two.
            assert!(line.len() < 10_239, "line of {} bytes", line.len());
            if let Some(chain) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
                assert!(chain.len() <= 28, "{chain}");
            }
        }
    }
    for (_, _, rule) in rules.rules() {
        if let Action::Jump(chain) = &rule.action {
            assert!(chain.as_str().len() <= 11);
        }
    }
}

fn check_printable(text: &str) {
    let plain = |c: char| c == '\n' || c == '\t' || c == ' ' || c.is_ascii_graphic();
    assert!(text.chars().all(plain), "{text:?}");
}
