//! Plays a case step by step, keeps what it binds, and takes away what it made.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::Options;
use super::expression::{Bindings, bind};
use super::objects::{Objects, Reference};
use super::operation::Playing;
use super::spec::{Operation, Step, Test};
use crate::cluster::Cluster;
use crate::namespace::Namespace;

/// For one object to go.
const GONE: Duration = Duration::from_secs(30);

/// A case that is being played.
pub(super) struct Player {
    folder: PathBuf,
    options: Options,
    objects: Objects,
    /// One of the case's own, where it names none.
    own: Option<Namespace>,
    bindings: Bindings,
    template: bool,
    /// What the case made, in this order.
    made: Vec<Reference>,
}

impl Player {
    /// Makes what every case finds: a namespace, and its built-in bindings.
    pub(super) async fn begin(
        cluster: &Cluster,
        folder: &Path,
        test: &Test,
        options: Options,
    ) -> Result<Self> {
        let own = if test.namespace.is_empty() {
            Some(Namespace::create(cluster, &own_name(folder), &[]).await?)
        } else {
            None
        };
        let namespace = own.as_ref().map_or(test.namespace.as_str(), Namespace::name).to_owned();
        let built_in = Bindings::from([
            ("namespace".to_owned(), json!(namespace)),
            ("test".to_owned(), json!({"metadata": {"name": test.name}})),
            ("values".to_owned(), json!({})),
        ]);
        let mut player = Self {
            folder: folder.to_path_buf(),
            options,
            objects: Objects::new(cluster.client.clone(), namespace),
            own,
            bindings: built_in,
            template: test.template,
            made: Vec::new(),
        };
        match bind(&player.bindings, &test.bindings) {
            Ok(bindings) => player.bindings = bindings,
            Err(error) => {
                player.clear().await?;
                return Err(error.context("spec.bindings"));
            }
        }
        Ok(player)
    }

    /// Every step; the first that does not hold ends it.
    pub(super) async fn play(&mut self, test: &Test) -> Result<()> {
        for (index, step) in test.steps.iter().enumerate() {
            let name = if step.name.is_empty() { format!("#{index}") } else { step.name.clone() };
            self.step(step).await.with_context(|| format!("step {name}"))?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        let mut bindings = bind(&self.bindings, &step.bindings).context("bindings")?;
        let template = step.template.unwrap_or(self.template);
        let tried = self.operations(&step.operations, &mut bindings, template).await;
        let at_last = self.operations(&step.at_last, &mut bindings, template).await;
        tried.and(at_last)
    }

    async fn operations(
        &mut self,
        operations: &[Operation],
        bindings: &mut Bindings,
        template: bool,
    ) -> Result<()> {
        for (index, operation) in operations.iter().enumerate() {
            let mut playing = Playing {
                folder: &self.folder,
                options: self.options,
                objects: &mut self.objects,
                bindings,
                template,
                made: &mut self.made,
            };
            playing.run(operation).await.with_context(|| format!("{} (#{index})", operation.verb))?;
        }
        Ok(())
    }

    /// Takes away what the case made, the last first.
    pub(super) async fn clear(&mut self) -> Result<()> {
        let mut result = Ok(());
        while let Some(reference) = self.made.pop() {
            let gone = self.objects.delete(&reference, GONE, true).await;
            result = result
                .and(gone.with_context(|| format!("{} {} does not go", reference.kind, reference.name)));
        }
        if let Some(own) = self.own.take() {
            // Nobody has to wait until it is gone: no other case has its name.
            result = result.and(own.give_up().await);
        }
        result
    }
}

/// A namespace for the case, that no other case of this run or of another one has.
fn own_name(folder: &Path) -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("case").to_lowercase();
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(30).collect();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("replay-{}-{number}-{}", std::process::id(), plain.trim_matches('-'))
}
