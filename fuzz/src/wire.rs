//! What the kernel and the iptables programs say, which a process in the pod can influence.

use meshward_redirect::dialect::{self, Origin, Settings, Surroundings};
use meshward_redirect::iptables::{self, Ours, Saved};
use meshward_redirect::net::Family;
use meshward_redirect::nft::{Answer, Event, Transactions, describe_dump};
use meshward_redirect::{Mesh, RuleSet, rtnl};

/// Answers to a batch.
pub fn nft_answer(data: &[u8]) {
    for (first, count) in [(0, 1), (1, 4), (u32::MAX - 1, 4), (7, 0), (0, u32::MAX)] {
        let answer = Answer::parse(data, first, count);
        assert!(answer.refusals.len() <= data.len() / 16);
        assert!(answer.refusals.iter().all(|(place, errno)| *place < count && *errno != 0));
    }
}

/// A dump of tables, chains, rules and sets.
pub fn nft_dump(data: &[u8]) {
    let text = describe_dump(data, "meshward_istio");
    assert!(text.len() <= 4096 + data.len() * 4096);
}

/// Notes of changes, in one piece and in two.
pub fn nft_events(data: &[u8]) {
    let middle = data.len() / 2;
    for parts in [vec![data], vec![&data[..middle], &data[middle..]]] {
        let mut transactions = Transactions::new(Mesh::Istio);
        for part in parts {
            transactions.hear(part);
        }
        while let Some(event) = transactions.next_event() {
            let Event::Change { ours, tables, .. } = event else { panic!("overflow without a socket") };
            let named = tables.iter().any(|table| table.family == 1 && table.name == "meshward_istio");
            assert!(tables.len() <= 64 && (ours || !named));
        }
    }
}

/// Answers of the routing family.
pub fn rtnl_answer(data: &[u8]) {
    let text = rtnl::describe_answer(data);
    assert!(text.lines().count() <= data.len() / 16 + 1);
}

/// What iptables-save printed, and the restore input that turns it into rules of ours and into nothing.
pub fn iptables_save(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let held = match Saved::parse(&text) {
        Ok(held) => held,
        Err(error) => return assert!(error.number <= text.lines().count()),
    };
    let ours = Ours::meshward(Mesh::Istio);
    for rules in [standard(), RuleSet { tables: Vec::new(), ..standard() }] {
        let Ok(Some(input)) = iptables::restore_input(&held, &rules, Family::Ipv4) else { continue };
        for line in input.lines() {
            check_restore_line(line, &ours);
        }
    }
    assert!(iptables::differences(Family::Ipv4, &held, &held, &ours).is_empty());
}

/// Only our chains are emptied, removed and filled; in a chain of others a rule is added only to lead to ours.
fn check_restore_line(line: &str, ours: &Ours) {
    let (option, rest) = line.split_once(' ').unwrap_or((line, ""));
    let chain = rest.split(' ').next().unwrap_or_default();
    match option {
        "-F" | "-X" => assert!(ours.has_chain(rest), "{line:?}"),
        "-A" => {
            let hook = rest.split(' ').next_back().is_some_and(|target| ours.has_chain(target));
            assert!(ours.has_chain(chain) || hook, "{line:?}");
        }
        "-D" => assert!(!ours.has_chain(chain), "{line:?}"),
        _ if option.starts_with(':') => assert!(ours.has_chain(&option[1..]), "{line:?}"),
        _ => assert!(line == "COMMIT" || line.starts_with('*'), "{line:?}"),
    }
}

/// Istio as most clusters have it.
fn standard() -> RuleSet {
    let mut settings = Settings::new(dialect::flags_of(Mesh::Istio));
    for option in ["istio-inbound-ports", "istio-service-cidr"] {
        settings.set(option, "*", Origin::Default);
    }
    settings.set("redirect-dns", "true", Origin::Default);
    dialect::build(Mesh::Istio, &settings, Surroundings::default()).unwrap().rules
}
