//! Every rule that a dialect can write is explained, and nothing is explained that no dialect writes. The rule names are
//! collected from built rule sets: every single option, and every pair of options, over two values each.

use std::collections::BTreeSet;

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{self, Origin, Settings, Surroundings, explain, explanations};

/// Option and value. Between them they switch on everything that a dialect can write.
type Choice = (&'static str, &'static str);

const ISTIO: &[Choice] = &[
    ("istio-inbound-interception-mode", "TPROXY"),
    ("istio-inbound-ports", "*"),
    ("istio-inbound-ports", "80"),
    ("istio-local-exclude-ports", "22"),
    ("istio-exclude-interfaces", "eth1"),
    ("istio-service-cidr", "*"),
    ("istio-service-cidr", "10.0.0.0/8"),
    ("istio-service-cidr", "127.0.0.0/8"),
    ("istio-service-exclude-cidr", "10.1.0.0/16"),
    ("istio-outbound-ports", "443"),
    ("istio-local-outbound-ports-exclude", "5432"),
    ("kube-virt-interfaces", "net1"),
    ("redirect-dns", "true"),
    ("dns-servers", "10.96.0.10,fd00::10"),
    ("drop-invalid", "true"),
    ("outbound-owner-groups", "1000"),
    ("outbound-owner-groups-exclude", "1001"),
    ("ipv6", "on"),
];

const LINKERD: &[Choice] = &[
    ("proxy-gid", "2102"),
    ("ports-to-redirect", "80"),
    ("inbound-ports-to-ignore", "4190"),
    ("outbound-ports-to-ignore", "5432"),
    ("subnets-to-ignore", "10.0.0.0/8"),
    ("ipv6", "false"),
];

const KUMA: &[Choice] = &[
    ("ip-family-mode", "ipv4"),
    ("redirect-inbound", "false"),
    ("redirect-outbound", "false"),
    ("include-inbound-ports", "80"),
    ("exclude-inbound-ports", "22"),
    ("exclude-inbound-ips", "10.0.0.0/8"),
    ("include-outbound-ports", "80"),
    ("exclude-outbound-ports", "22"),
    ("exclude-outbound-ports-for-uids", "tcp:22:1000"),
    ("exclude-outbound-ips", "10.0.0.0/8"),
    ("redirect-dns", "true"),
    ("redirect-all-dns-traffic", "true"),
    ("dns-servers", "127.0.0.11,10.96.0.10"),
    ("vnet", "docker0:172.17.0.0/16"),
    ("drop-invalid-packets", "true"),
    ("iptables-logs", "true"),
];

const CONSUL: &[Choice] = &[
    ("consul-dns-ip", "10.96.0.11"),
    ("consul-dns-port", "8600"),
    ("exclude-inbound-port", "22"),
    ("exclude-outbound-port", "22"),
    ("exclude-outbound-cidr", "10.0.0.0/8"),
    ("exclude-uid", "1000"),
    ("dual-stack", "true"),
];

fn choices(mesh: Mesh) -> &'static [Choice] {
    match mesh {
        Mesh::Istio => ISTIO,
        Mesh::Linkerd => LINKERD,
        Mesh::Kuma => KUMA,
        Mesh::Consul => CONSUL,
    }
}

/// The rule names that these options bring; nothing where they contradict each other.
fn names(mesh: Mesh, chosen: &[Choice]) -> BTreeSet<String> {
    let mut settings = Settings::new(dialect::flags_of(mesh));
    for (option, value) in chosen {
        settings.set(option, *value, Origin::Default);
    }
    let built = dialect::build(mesh, &settings, Surroundings::default());
    built
        .map(|built| built.rules.rules().map(|(_, _, rule)| rule.name.to_string()).collect())
        .unwrap_or_default()
}

/// Most rules need the mesh's usual options beside their own: so every pair, with and without those.
fn all_names(mesh: Mesh) -> BTreeSet<String> {
    let usual: &[Choice] = match mesh {
        Mesh::Istio => &[("istio-inbound-ports", "*"), ("istio-service-cidr", "*")],
        _ => &[],
    };
    let choices = choices(mesh);
    let pairs = choices.iter().flat_map(|one| choices.iter().map(move |other| [*one, *other]));
    pairs
        .flat_map(|pair| [pair.to_vec(), [usual, &pair[..]].concat()])
        .flat_map(|chosen| names(mesh, &chosen))
        .collect()
}

#[test]
fn every_rule_is_explained_and_no_other() {
    for mesh in Mesh::ALL {
        let explained: BTreeSet<String> = explanations(mesh).map(|(name, _)| name.to_string()).collect();
        assert_eq!(explained.len(), explanations(mesh).count(), "{mesh}: a name is explained twice");
        assert_eq!(all_names(mesh), explained, "{mesh}: left what is built, right what is explained");
    }
}

/// The recorded cases hold rules that no pair of options above brings, if there are any.
#[test]
fn every_rule_of_the_recorded_cases_is_explained() {
    for mesh in [Mesh::Istio, Mesh::Linkerd] {
        let folder = format!("{}/tests/cases/{mesh}", env!("CARGO_MANIFEST_DIR"));
        let mut rules = 0;
        for entry in std::fs::read_dir(&folder).expect("recorded cases") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a recorded case");
            for line in text.lines().filter(|line| line.starts_with("-A ")) {
                let (_, name) = line.rsplit_once(" # ").expect(line);
                let name = name.split(' ').next().unwrap_or_default();
                assert!(explain(mesh, name).is_some(), "{mesh}: {name} is not explained");
                rules += 1;
            }
        }
        assert!(rules > 0, "{folder} holds no rules");
    }
}

#[test]
fn explanations_are_sentences() {
    for (name, text) in Mesh::ALL.into_iter().flat_map(explanations) {
        assert!(text.ends_with('.') && text.len() > 10 && !text.contains("  "), "{name}: {text}");
    }
}
