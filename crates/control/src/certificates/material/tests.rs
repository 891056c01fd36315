use std::collections::BTreeSet;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const SETTLE: Duration = Duration::from_secs(300);

fn wishes() -> Wishes {
    Wishes {
        name: "meshward-control".into(),
        names: vec!["meshward-control.meshward-system.svc".into(), "127.0.0.1".into()],
        lifetime: 90 * DAY,
        authority_lifetime: 1095 * DAY,
        settle: SETTLE,
    }
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn made(kept: &Material, now: Timestamp, trusted: Option<&str>) -> Option<Material> {
    next(kept, &wishes(), now, trusted).unwrap().map(|(material, _)| material)
}

fn issuer(material: &Material) -> String {
    CertificateFacts::of(&material.certificate).unwrap().issuer
}

fn subject(material: &Material) -> String {
    CertificateFacts::of(&material.authority).unwrap().subject
}

fn authorities(material: &Material) -> usize {
    material.bundle.matches(END).count()
}

#[test]
fn the_first_is_whole_and_then_nothing_is_done() {
    let first = made(&Material::default(), start(), None).unwrap();
    first.pair().unwrap();
    assert_eq!((issuer(&first), authorities(&first)), (subject(&first), 1));
    assert_eq!(made(&first, start(), None), None);
    assert_eq!(made(&first, start() + 59 * DAY, Some(&first.bundle)), None);
    assert!(Material::from_data(&first.to_data()) == first);
}

/// Ten years, a minute at a time where something happens: whoever trusted the bundle one settling time ago is always
/// served a certificate that it vouches for and that is valid.
#[test]
fn nobody_who_is_slow_ever_sees_a_certificate_of_strangers() {
    let mut kept = made(&Material::default(), start(), None).unwrap();
    let (mut now, end) = (start(), start() + 3650 * DAY);
    // What the slowest API server trusts, and the bundle that the configurations carry.
    let mut trusted = kept.bundle.clone();
    let mut steps = BTreeSet::new();
    while now < end {
        match next(&kept, &wishes(), now, Some(&kept.bundle)).unwrap() {
            Some((material, why)) => {
                steps.insert(why);
                kept = material;
                assert!(trusts(&trusted, &kept, now), "{why} at {now}");
                now += Duration::from_secs(30);
            }
            // On the way to something, or at rest.
            None if authorities(&kept) > 1 => now += Duration::from_secs(60),
            None => now += DAY / 2,
        }
        if CertificateFacts::of(&kept.authority).unwrap().since + SKEW + SETTLE <= now {
            trusted = kept.bundle.clone();
        }
        assert!(trusts(&trusted, &kept, now), "at {now}");
    }
    assert_eq!(steps.len(), 4, "{steps:?}");
    assert_eq!(authorities(&kept), 1);
}

fn trusts(bundle: &str, kept: &Material, now: Timestamp) -> bool {
    let leaf = CertificateFacts::of(&kept.certificate).unwrap();
    let authorities = bundle.split_inclusive(END).filter_map(|text| CertificateFacts::of(text).ok());
    let valid = |facts: &CertificateFacts| facts.since <= now && now < facts.until;
    valid(&leaf) && authorities.filter(valid).any(|authority| authority.subject == leaf.issuer)
}

#[test]
fn a_new_authority_signs_only_when_everybody_can_know_it() {
    let first = made(&Material::default(), start(), None).unwrap();
    let later = start() + 731 * DAY;
    // The leaf was renewed in between; only the authority is due.
    let authority = Authority::from_pem(&first.authority, &first.authority_key).unwrap();
    let mut kept = first.clone();
    sign(&mut kept, &authority, &wishes(), later - DAY).unwrap();
    let second = made(&kept, later, Some(&kept.bundle)).unwrap();
    assert_eq!(authorities(&second), 2);
    assert_eq!(second.certificate, kept.certificate, "the old certificate is still served");
    let after = later + SETTLE;
    assert_eq!(made(&second, after - Duration::from_secs(1), Some(&second.bundle)), None, "too early");
    assert_eq!(made(&second, after, Some(&first.bundle)), None, "the configurations lack it");
    assert_eq!(made(&second, after, None), None, "nobody knows what the configurations have");
    let third = made(&second, after, Some(&second.bundle)).unwrap();
    assert_eq!((issuer(&third), authorities(&third)), (subject(&second), 2));
    assert_eq!(made(&third, after + SETTLE - Duration::from_secs(1), Some(&third.bundle)), None);
    let fourth = made(&third, after + SETTLE, Some(&third.bundle)).unwrap();
    assert_eq!((authorities(&fourth), fourth.certificate == third.certificate), (1, true));
    assert_eq!(made(&fourth, after + SETTLE, Some(&fourth.bundle)), None);
}

#[test]
fn what_cannot_be_served_is_replaced_at_once() {
    let first = made(&Material::default(), start(), None).unwrap();
    let other = made(&Material::default(), start(), None).unwrap();
    let broken = [
        Material { key: other.key.clone(), ..first.clone() },
        Material { certificate: "garbage".into(), ..first.clone() },
        Material { authority_key: other.authority_key.clone(), ..first.clone() },
        Material { authority: String::new(), ..first.clone() },
        Material { bundle: String::new(), ..first.clone() },
        Material { bundle: "-----BEGIN CERTIFICATE-----\nAA\n".into(), ..first.clone() },
    ];
    for (at, kept) in broken.iter().enumerate() {
        let next = made(kept, start(), None).unwrap();
        next.pair().unwrap();
        assert!(trusts(&next.bundle, &next, start()), "row {at}");
        // A certificate that is good stays, whatever became of its authority's key.
        if at == 2 || at == 3 {
            assert_eq!(next.certificate, first.certificate, "row {at}");
        }
    }
    let expired = made(&first, start() + 91 * DAY, None).unwrap();
    assert_eq!((subject(&expired), issuer(&expired)), (subject(&first), subject(&first)));
    let renamed = Wishes { names: vec!["other.svc".into()], ..wishes() };
    let (next, _) = next(&first, &renamed, start(), None).unwrap().unwrap();
    assert_eq!(CertificateFacts::of(&next.certificate).unwrap().names, ["other.svc"]);
}
