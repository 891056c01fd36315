//! Options in, rules out: the cases under `cases/`, read as a peer's own arguments are. A rule that goes missing, moves
//! or changes shows in a snapshot.

use meshward_redirect::dialect::flags::parse_arguments;
use meshward_redirect::dialect::{
    self, Flag, InvalidOption, Lint, Origin, Settings, Surroundings, istio, linkerd,
};
use meshward_redirect::trace::{Direction, Environment, PacketSpec, Verdict};
use meshward_redirect::{Mesh, RuleSet, nft};

type Build = fn(&Settings) -> Result<(RuleSet, Vec<Lint>), InvalidOption>;

fn istio(settings: &Settings) -> Result<(RuleSet, Vec<Lint>), InvalidOption> {
    istio::Options::from_settings(settings).map(|options| (istio::rules(&options), istio::lints(&options)))
}

fn linkerd(settings: &Settings) -> Result<(RuleSet, Vec<Lint>), InvalidOption> {
    linkerd::Options::from_settings(settings)
        .map(|options| (linkerd::rules(&options), linkerd::lints(&options)))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn flag_origin(flag: &str) -> Origin {
    Origin::Flag { flag: format!("--{flag}") }
}

fn check_cases(mesh: &str, cases: &str, flags: &'static [Flag], build: Build) {
    for line in lines(cases) {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a name");
        let arguments: Vec<String> = words.map(|word| if word == "''" { "" } else { word }.into()).collect();
        let mut settings = Settings::new(flags);
        parse_arguments("peer", flags, &arguments, &mut settings, flag_origin).expect(name);
        let (rules, lints) = build(&settings).expect(name);
        let lints: String = lints.iter().map(|lint| format!("# lint {lint}\n")).collect();
        insta::with_settings!({
            snapshot_path => format!("cases/{mesh}"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
            description => arguments.join(" "),
        }, {
            insta::assert_snapshot!(name, format!("{rules}{lints}"));
        });
    }
}

#[test]
fn istio_rules() {
    check_cases("istio", include_str!("cases/istio.cases"), istio::FLAGS, istio);
}

#[test]
fn linkerd_rules() {
    check_cases("linkerd", include_str!("cases/linkerd.cases"), linkerd::FLAGS, linkerd);
}

fn check_errors(cases: &str, flags: &'static [Flag], build: Build) {
    for line in lines(cases) {
        let mut parts = line.split('|').map(str::trim);
        let mut part = || parts.next().expect(line);
        let (option, value, expected) = (part(), part(), part());
        let mut settings = Settings::new(flags);
        settings.set(option, value, flag_origin(option));
        let error = build(&settings).expect_err(line);
        assert_eq!(error.option, option, "{error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("--{option}: found")), "{text}");
        assert!(text.contains(expected), "{option} {value:?}: {text}");
    }
}

#[test]
fn istio_errors() {
    check_errors(include_str!("cases/istio_errors.cases"), istio::FLAGS, istio);
}

#[test]
fn linkerd_errors() {
    check_errors(include_str!("cases/linkerd_errors.cases"), linkerd::FLAGS, linkerd);
}

fn numbered(count: usize) -> String {
    (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

#[test]
fn istio_takes_at_most_64_owner_groups() {
    let mut settings = Settings::new(istio::FLAGS);
    settings.set("istio-service-cidr", "*", Origin::Default);
    for count in [1, 32, 33, 64] {
        settings.set("outbound-owner-groups", numbered(count), Origin::Default);
        let rules = dialect::build(Mesh::Istio, &settings, Surroundings::default()).expect("groups").rules;
        assert_eq!(rules.validate(), Ok(()));
        nft::encode(&rules).expect("rules that nf_tables has");
        for gid in 0..=70 {
            let packet = PacketSpec::new(Direction::Out, "tcp", "10.0.0.7:443").expect("a packet");
            let packet = packet.gid(&gid.to_string()).expect("a group");
            let trace = packet.trace(&rules, &Environment::default()).expect("a way");
            let captured = matches!(trace.verdict, Verdict::Redirected { port: 15001, .. });
            let listed = numbered(count).split(',').any(|group| group == gid.to_string());
            assert_eq!(captured, listed, "group {gid} of {count}");
        }
    }
    settings.set("outbound-owner-groups", numbered(65), Origin::Default);
    assert!(istio(&settings).expect_err("65 groups").problem.contains("found 65 groups"));
}

#[test]
fn lists_are_bounded() {
    let mut settings = Settings::new(istio::FLAGS);
    settings.set("istio-inbound-ports", numbered(1024), Origin::Default);
    istio(&settings).expect("1024 ports");
    settings.set("istio-inbound-ports", numbered(1025), Origin::Default);
    assert!(istio(&settings).expect_err("1025 ports").problem.contains("at most 1024"));

    let interfaces = |count| (0..count).map(|n| format!("eth{n}")).collect::<Vec<_>>().join(",");
    let mut settings = Settings::new(istio::FLAGS);
    settings.set("istio-exclude-interfaces", interfaces(65), Origin::Default);
    assert!(istio(&settings).expect_err("65 interfaces").problem.contains("at most 64"));

    let mut settings = Settings::new(istio::FLAGS);
    let cidrs = (0..65).map(|n| format!("10.{n}.0.0/16")).collect::<Vec<_>>().join(",");
    settings.set("istio-service-cidr", cidrs, Origin::Default);
    settings.set("kube-virt-interfaces", interfaces(64), Origin::Default);
    assert!(istio(&settings).expect_err("4160 pairs").problem.contains("at most 4096"));
}

/// What Istio decides in `getLocalIP`: by the first address, IPv4 ones first, or by all of them.
#[test]
fn auto_captures_ipv6_where_istios_proxy_listens_on_it() {
    let (v4, v6) = ("10.0.0.1", "fd00::1");
    for (ipv6, dual_stack, addresses, captured, told) in [
        ("auto", false, &[v4][..], false, false),
        ("auto", false, &[v6], true, false),
        ("auto", false, &[v4, v6], false, true),
        ("auto", true, &[v4], false, false),
        ("auto", true, &[v6], true, false),
        ("auto", true, &[v4, v6], true, false),
        ("on", false, &[v4, v6], true, false),
        ("off", true, &[v4, v6], false, false),
        ("auto", true, &[], false, false),
    ] {
        let mut settings = Settings::new(istio::FLAGS);
        settings.set("ipv6", ipv6, Origin::Default);
        settings.set("dual-stack", dual_stack.to_string(), Origin::Default);
        let addresses: Vec<std::net::IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let built = dialect::build(Mesh::Istio, &settings, Surroundings::of(&addresses)).unwrap();
        let found = (built.rules.ipv6, built.lints.iter().any(|lint| lint.option == "ipv6"));
        assert_eq!(found, (captured, told), "{ipv6} {dual_stack} {addresses:?}");
    }
    // Nobody knows of the other family: what is known decides.
    let known = Surroundings { global_ipv6: Some(true), ..Surroundings::default() };
    assert!(dialect::build(Mesh::Istio, &Settings::new(istio::FLAGS), known).unwrap().rules.ipv6);
}
