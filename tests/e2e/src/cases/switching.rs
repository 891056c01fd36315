//! A user of Kyverno switches over, with the very commands of the page about it, beside the real Kyverno: the objects stay
//! as they are, what is asked for is answered alike, the reports come to say the same; and back again.

mod answers;
mod reports;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use meshward_e2e::kyverno::Part;
use meshward_e2e::{Bed, Case, Kyverno, Manifest, case, until};
use serde_json::{Value, json};

use super::SOON;
use super::desk::{Desk, blocks};
use answers::{Answers, KYVERNO, MESHWARD, settled};
use reports::Reports;

pub(super) const CASES: &[Case] = &[
    case!(alone "a Kyverno user switches over with the objects untouched, sees the same verdicts and reports, and goes back", ControllerKyverno, switched),
];

/// What the page is called.
const PAGE: &str = "switch-from-kyverno.md";
/// Whose exceptions count, as the page has it.
const EXCEPTIONS: &str = "policy-exceptions";
const NAMESPACES: [&str; 3] = [EXCEPTIONS, "shop", "legacy"];
const OBJECTS: &str = include_str!("switching/objects.yaml");
const POLICIES: &str = include_str!("switching/policies.yaml");
const LATER: &str = include_str!("switching/later.yaml");
/// In place of kubectl: what has to do with Kyverno's pods is noted, since it runs beside the cluster.
const KUBECTL: &str = r#"case "$1 $2 $3" in
"-n kyverno scale") echo "$5 ${6#--replicas=}" >>scaled ;;
"-n kyverno wait" | "-n kyverno rollout") ;;
*) exec "$RIG_BIN/kubectl" "$@" ;;
esac"#;

async fn switched(bed: &Bed) -> Result<()> {
    // With its definitions, which are to be Kyverno's own, and its namespace, which the page makes.
    bed.controller().uninstall().await?;
    bed.forget(meshward_e2e::controller::NAMESPACE).await?;
    let flags = ["-enablePolicyException=true", &format!("-exceptionNamespace={EXCEPTIONS}")];
    let mut kyverno = Kyverno::install(bed.cluster(), &flags).await?;
    let tried = there_and_back(bed, &mut kyverno).await;
    let tried = tried.with_context(|| format!("Kyverno's logs:\n{}", kyverno.logs()));
    let gone = kyverno.uninstall().await;
    // The next case finds the controller as the run has installed it.
    let back = bed.controller().install(&[]).await;
    tried.and(gone)?;
    back.map(|_| ())
}

async fn there_and_back(bed: &Bed, kyverno: &mut Kyverno) -> Result<()> {
    let desk = Desk::new(bed, "switching")?;
    desk.stand_in("kubectl", KUBECTL)?;
    let mut objects = Vec::new();
    for name in NAMESPACES {
        bed.named(name).await?;
    }
    for text in [OBJECTS, POLICIES] {
        create(bed, text, &mut objects).await?;
    }
    let answers = settled(bed, &[KYVERNO]).await?;
    create(bed, LATER, &mut objects).await?;
    let reports = until("Kyverno's reports", SOON, async || reports::expected(bed, "kyverno").await).await?;
    let before = as_users_wrote(bed, &objects).await?;

    compared_on_files(bed, &desk).await?;
    there(bed, &desk, kyverno, &answers, &reports).await?;
    back(bed, &desk, kyverno, &answers, reports).await?;
    let after = as_users_wrote(bed, &objects).await?;
    ensure!(after == before, "objects were touched: {before:#?}\nthen\n{after:#?}");
    Ok(())
}

async fn there(
    bed: &Bed,
    desk: &Desk,
    kyverno: &mut Kyverno,
    answers: &Answers,
    reports: &Reports,
) -> Result<()> {
    typed(bed, desk, kyverno, "helm install").await?;
    settled(bed, &[KYVERNO, MESHWARD]).await?.same_as(answers, "beside each other")?;
    for step in ["force-ignore=false", "admission-controller --replicas=0", "kubectl delete validating"] {
        typed(bed, desk, kyverno, step).await?;
    }
    settled(bed, &[MESHWARD]).await?.same_as(answers, "after the policies have changed hands")?;
    for step in ["reports-controller --replicas=0", "reports=policyreport"] {
        typed(bed, desk, kyverno, step).await?;
    }
    // Messages, properties, categories, severities, scores, the counts, the scope and the owner; not the times.
    let wanted = reports::of_ours(reports);
    until("our reports to say what Kyverno's did", SOON, async || {
        reports::same(&wanted, &reports::of(bed, "meshward").await?)
    })
    .await?;
    typed(bed, desk, kyverno, "-l app.kubernetes.io/managed-by=kyverno").await?;
    let left = reports::of(bed, "kyverno").await?;
    ensure!(left.is_empty(), "reports of Kyverno's are left: {:?}", left.keys());
    Ok(())
}

async fn back(
    bed: &Bed,
    desk: &Desk,
    kyverno: &mut Kyverno,
    answers: &Answers,
    reports: Reports,
) -> Result<()> {
    typed(bed, desk, kyverno, "admission-controller --replicas=3").await?;
    kyverno.ready().await?;
    for step in ["helm uninstall meshward", "reports-controller --replicas=1"] {
        typed(bed, desk, kyverno, step).await?;
    }
    settled(bed, &[KYVERNO]).await?.same_as(answers, "with Kyverno again")?;
    let wanted = reports::again(reports);
    until("Kyverno's reports to be as they were", SOON, async || {
        reports::same(&wanted, &reports::of(bed, "kyverno").await?)
    })
    .await
}

/// Types the one block of the page that has `word` in it, and has Kyverno's processes follow.
async fn typed(bed: &Bed, desk: &Desk, kyverno: &mut Kyverno, word: &str) -> Result<()> {
    let found = blocks(PAGE, word)?;
    ensure!(found.len() == 1, "{} blocks of {PAGE} have {word:?} in them", found.len());
    desk.put("scaled", "")?;
    desk.types(bed, &found[0]).await?;
    for line in desk.read("scaled")?.lines() {
        let (deployment, replicas) = line.split_once(' ').context("scale without replicas")?;
        kyverno.scale(Part::named(deployment)?, replicas.parse()?).await?;
    }
    Ok(())
}

/// The page's first step: the same engine on files finds what the reports say. A violation is its exit code 1.
async fn compared_on_files(bed: &Bed, desk: &Desk) -> Result<()> {
    for block in blocks(PAGE, "meshward apply")? {
        let tolerant = block.lines().map(|line| match line.starts_with("meshward ") {
            true => format!("{line} || [ $? = 1 ]\n"),
            false => format!("{line}\n"),
        });
        let said = desk.types(bed, &tolerant.collect::<String>()).await?;
        for word in ["baseline", "autogen-restricted", "ancient"] {
            ensure!(said.contains(word), "no {word:?} in what is told of the files: {said}");
        }
    }
    Ok(())
}

/// Creates what a file has, as soon as who judges it answers.
async fn create(bed: &Bed, text: &str, all: &mut Vec<(Value, String)>) -> Result<()> {
    for object in Manifest::parse(text)?.objects() {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let what = format!("{} {}", object["kind"], object["metadata"]["name"]);
        until(&format!("{what} to be taken"), SOON, async || {
            bed.controller().create(object, &namespace).await?.taken().map(|_| ())
        })
        .await?;
        all.push((object.clone(), namespace));
    }
    Ok(())
}

/// What belongs to users of each object: all but what controllers note.
async fn as_users_wrote(bed: &Bed, objects: &[(Value, String)]) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    for (object, namespace) in objects {
        let now = bed.controller().get(object, namespace).await?;
        let metadata = &now["metadata"];
        let key = format!("{} {}", now["kind"], metadata["name"]);
        let of_users = ["uid", "generation", "labels"].map(|field| (field, metadata[field].clone()));
        all.insert(key, json!({"metadata": BTreeMap::from(of_users), "spec": now["spec"]}));
    }
    Ok(all)
}
