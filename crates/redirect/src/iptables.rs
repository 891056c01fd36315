//! The iptables backend, for kernels without nf_tables: restore text of our own through the restore programs, run
//! inside the namespace without a shell. Every change of a family is one restore input that is computed from what
//! the save program reports, so doing it twice changes nothing and foreign rules are never in it.
//!
//! ```text
//! iptables-save ─► Saved ─┐
//!                         ├─► transition (pure) ─► iptables-restore --noflush
//! RuleSet ─► render ─► Saved
//!
//! check: the same text goes through the same program in an empty scratch namespace; what that one saves is what
//! ours must look like, whatever spelling this version of iptables prefers.
//! ```

mod exec;
mod save;
mod transition;

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::net::Family;
use crate::netns::{EnterNetNs, NetNs, OpenNetNs};
use crate::render::iptables::render_family;
use crate::ruleset::{Mesh, RuleSet};

use exec::Programs;
pub use save::{MalformedSave, Saved};
use transition::transition;
pub use transition::{Difference, Ours, What, differences};

/// Which of the kernel's two implementations behind the iptables programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// `iptables-nft-*`: the programs that write nf_tables rules
    Nft,
    /// `iptables-legacy-*`: the programs that write ip_tables rules
    Legacy,
}

impl Variant {
    /// Both.
    pub const ALL: [Variant; 2] = [Variant::Nft, Variant::Legacy];

    /// The word in the programs' names.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Nft => "nft",
            Variant::Legacy => "legacy",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "iptables-{}", self.name())
    }
}

/// Where the programs are looked for. `PATH` is not: what runs with an agent's capabilities is fixed.
pub const DIRECTORIES: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];

/// Why the iptables backend could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum IptablesError {
    /// A program is not installed.
    #[error("cannot find {program} of {variant} in {}: is iptables installed?", list(directories))]
    Missing {
        /// Its name, without the word for the variant.
        program: String,
        /// The variant that was asked for.
        variant: Variant,
        /// Where it was looked for.
        directories: Vec<PathBuf>,
    },
    /// A program could not be run to its end.
    #[error("cannot run {}", program.display())]
    Run {
        /// Its path.
        program: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A program did not end in time and was stopped.
    #[error("{} did not end within {seconds} s and was stopped", program.display())]
    Timeout {
        /// Its path.
        program: PathBuf,
        /// How long it had.
        seconds: u64,
    },
    /// A program refused what we asked; nothing of the refused family is in force, what was before is.
    #[error("{} refused: {message}{}", program.display(), refused_line(line))]
    Refused {
        /// Its path.
        program: PathBuf,
        /// What it printed, cut to a bounded length.
        message: String,
        /// The line of our input that it names.
        line: Option<String>,
    },
    /// Putting back what was in force before failed too: the namespace holds a mixture.
    #[error("{cause}; putting back the rules that were in force before failed as well: {failure}")]
    NotPutBack {
        /// Why the new rules failed.
        cause: Box<IptablesError>,
        /// Why the old ones could not be put back.
        failure: Box<IptablesError>,
    },
    /// What is in force is not what was written; what was in force before is put back.
    #[error(
        "the rules that are in force are not those that were written (who else writes?): {}",
        told_first(found)
    )]
    NotAsMeant {
        /// The differences, at least one.
        found: Vec<Difference>,
    },
    /// The save program printed something else than rules.
    #[error("cannot read what {} printed", program.display())]
    Save {
        /// Its path.
        program: PathBuf,
        /// The line.
        #[source]
        source: MalformedSave,
    },
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] EnterNetNs),
    /// No scratch namespace, which comparing needs.
    #[error(transparent)]
    Scratch(#[from] OpenNetNs),
}

fn told_first(found: &[Difference]) -> String {
    let more = found.len().saturating_sub(1);
    let first = found.first().map(ToString::to_string).unwrap_or_default();
    if more == 0 { first } else { format!("{first}, and {more} more") }
}

/// Chains, and rules of foreign chains, as people read them.
fn told(family: Family, saved: &Saved) -> Vec<String> {
    saved.places().into_iter().map(|place| format!("{family} {place}")).collect()
}

fn list(directories: &[PathBuf]) -> String {
    let texts: Vec<String> = directories.iter().map(|path| path.display().to_string()).collect();
    texts.join(", ")
}

fn refused_line(line: &Option<String>) -> String {
    line.as_ref().map(|line| format!(" (our line: {line})")).unwrap_or_default()
}

/// One variant of the iptables programs, found on this machine.
#[derive(Debug, Clone)]
pub struct Iptables {
    variant: Variant,
    ipv4: Programs,
    /// The IPv6 programs, or why they cannot be used: an error only when IPv6 is captured.
    ipv6: Option<Programs>,
    directories: Vec<PathBuf>,
}

impl Iptables {
    /// Looks for the programs of a variant: under their full names, else the plain ones when they say that they are
    /// of this variant.
    pub fn find(variant: Variant) -> Result<Self, IptablesError> {
        Self::find_in(variant, &DIRECTORIES.map(PathBuf::from))
    }

    /// The same in other directories.
    pub fn find_in(variant: Variant, directories: &[PathBuf]) -> Result<Self, IptablesError> {
        let find = |family| Programs::find(family, variant, directories);
        let missing = || missing(Family::Ipv4, variant, directories);
        Ok(Self {
            variant,
            ipv4: find(Family::Ipv4).ok_or_else(missing)?,
            ipv6: find(Family::Ipv6),
            directories: directories.to_vec(),
        })
    }

    /// Which variant these programs are of.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// Whether this variant works in the namespace, or why not. Loads the kernel's nat table, as the peers' detection
    /// does.
    pub fn works_in(&self, namespace: &NetNs) -> Result<(), IptablesError> {
        namespace.run(|| self.ipv4.probe())?
    }

    /// Puts `rules` in force and reads them back. What our chains held before is replaced, each table at once; where
    /// any part fails, what was in force before is put back. Returns whether anything had to be written.
    pub fn replace(&self, namespace: &NetNs, rules: &RuleSet) -> Result<bool, IptablesError> {
        let expected = self.expected(rules)?;
        namespace.run(|| {
            let mut undo = Vec::new();
            for (family, expected) in Family::BOTH.into_iter().zip(&expected) {
                match self.replace_family(family, rules, expected) {
                    Ok(former) => undo.extend(former.map(|former| (family, former))),
                    Err(cause) => return Err(self.put_back(rules.mesh, &undo, cause)),
                }
            }
            if undo.is_empty() {
                return Ok(false);
            }
            match self.held_differences(rules.mesh, &expected) {
                Ok(found) if found.is_empty() => Ok(true),
                Ok(found) => Err(self.put_back(rules.mesh, &undo, IptablesError::NotAsMeant { found })),
                Err(cause) => Err(self.put_back(rules.mesh, &undo, cause)),
            }
        })?
    }

    /// Whether our chains hold what `rules` ask for, in their order, and the built-in chains lead to them.
    pub fn compare(&self, namespace: &NetNs, rules: &RuleSet) -> Result<Vec<Difference>, IptablesError> {
        let expected = self.expected(rules)?;
        namespace.run(|| self.held_differences(rules.mesh, &expected))?
    }

    fn held_differences(&self, mesh: Mesh, expected: &[Saved; 2]) -> Result<Vec<Difference>, IptablesError> {
        let ours = Ours::meshward(mesh);
        let mut found = Vec::new();
        for (family, expected) in Family::BOTH.into_iter().zip(expected) {
            found.extend(differences(family, expected, &self.save(family, expected)?, &ours));
        }
        Ok(found)
    }

    /// Removes the chains that are `ours` and what leads to them; returns what was removed, as `ipv4 nat CHAIN`.
    pub fn remove(&self, namespace: &NetNs, ours: &Ours) -> Result<Vec<String>, IptablesError> {
        namespace.run(|| {
            let mut removed = Vec::new();
            for (family, programs) in self.usable() {
                let held = programs.save()?;
                if let Some(input) = transition(&held, &Saved::default(), ours) {
                    programs.restore(&input)?;
                    removed.extend(told(family, &held.only(ours)));
                }
            }
            Ok(removed)
        })?
    }

    /// The chains that are `ours` or lead to them, as `ipv4 nat CHAIN`.
    pub fn chains(&self, namespace: &NetNs, ours: &Ours) -> Result<Vec<String>, IptablesError> {
        namespace.run(|| {
            let mut found = Vec::new();
            for (family, programs) in self.usable() {
                found.extend(told(family, &programs.save()?.only(ours)));
            }
            Ok(found)
        })?
    }

    /// The rules of others in the built-in nat chains that are tried before `mesh`'s, as `ipv4 nat OUTPUT: RULE`.
    pub fn foreign_rules(&self, namespace: &NetNs, mesh: Mesh) -> Result<Vec<String>, IptablesError> {
        let ours = Ours::meshward(mesh);
        namespace.run(|| {
            let mut found = Vec::new();
            for (family, programs) in self.usable() {
                let held = programs.save()?;
                let before = held.before(&ours, "nat", &["PREROUTING", "OUTPUT"]);
                found.extend(before.iter().map(|rule| format!("{family} nat {}: {}", rule.chain, rule.body)));
            }
            Ok(found)
        })?
    }

    fn usable(&self) -> impl Iterator<Item = (Family, &Programs)> {
        let all = [(Family::Ipv4, Some(&self.ipv4)), (Family::Ipv6, self.ipv6.as_ref())];
        all.into_iter().filter_map(|(family, programs)| Some((family, programs?)))
    }

    /// What the programs make of our text, per family: the text goes through them in an empty namespace.
    fn expected(&self, rules: &RuleSet) -> Result<[Saved; 2], IptablesError> {
        let scratch = NetNs::create()?;
        scratch.run(|| {
            let mut made = [Saved::default(), Saved::default()];
            for (family, made) in Family::BOTH.into_iter().zip(&mut made) {
                let text = render_family(rules, family);
                if !text.is_empty() {
                    let programs = self.programs(family)?;
                    programs.restore(&text)?;
                    *made = programs.save()?;
                }
            }
            Ok(made)
        })?
    }

    /// Brings one family to what is expected; returns what was there before when that took a write.
    fn replace_family(
        &self,
        family: Family,
        rules: &RuleSet,
        expected: &Saved,
    ) -> Result<Option<Saved>, IptablesError> {
        let ours = Ours::meshward(rules.mesh);
        let former = self.save(family, expected)?;
        let Some(input) = transition(&former, expected, &ours) else { return Ok(None) };
        match self.programs(family)?.restore(&input) {
            Ok(()) => Ok(Some(former)),
            // Tables are committed one by one: those before the refused one are in force now.
            Err(cause) => Err(self.put_back(rules.mesh, &[(family, former)], cause)),
        }
    }

    fn put_back(&self, mesh: Mesh, undo: &[(Family, Saved)], cause: IptablesError) -> IptablesError {
        let ours = Ours::meshward(mesh);
        let undone = undo.iter().try_for_each(|(family, former)| {
            let programs = self.programs(*family)?;
            match transition(&programs.save()?, &former.only(&ours), &ours) {
                Some(input) => programs.restore(&input),
                None => Ok(()),
            }
        });
        match undone {
            Ok(()) => cause,
            Err(failure) => IptablesError::NotPutBack { cause: Box::new(cause), failure: Box::new(failure) },
        }
    }

    /// What a family holds. A family that we want nothing of need not be readable.
    fn save(&self, family: Family, expected: &Saved) -> Result<Saved, IptablesError> {
        let unused = family == Family::Ipv6 && expected.is_empty();
        match self.programs(family).and_then(Programs::save) {
            Err(_) if unused => Ok(Saved::default()),
            saved => saved,
        }
    }

    fn programs(&self, family: Family) -> Result<&Programs, IptablesError> {
        match family {
            Family::Ipv4 => Ok(&self.ipv4),
            Family::Ipv6 => {
                self.ipv6.as_ref().ok_or_else(|| missing(family, self.variant, &self.directories))
            }
        }
    }
}

/// The restore input that turns our part of `held` into what `rules` ask of a family; nothing when it is there already.
/// Pure, and without the spelling of any one version of iptables: what [`Iptables::replace`] would run in an empty world.
///
/// # Errors
/// [`MalformedSave`] when our own rendering cannot be read back.
pub fn restore_input(held: &Saved, rules: &RuleSet, family: Family) -> Result<Option<String>, MalformedSave> {
    let wanted = Saved::parse(&render_family(rules, family))?;
    Ok(transition(held, &wanted, &Ours::meshward(rules.mesh)))
}

fn missing(family: Family, variant: Variant, directories: &[PathBuf]) -> IptablesError {
    let program = format!("{}-restore", exec::stem(family));
    IptablesError::Missing { program, variant, directories: directories.to_vec() }
}
