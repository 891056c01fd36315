//! Putting the plugin on the node and taking it away again. Each step is one rename, in an order that leaves a node on which
//! pods start after every one of them: the executable comes before the entry that names it, and goes after it
//! (istio#20238: an entry without its executable stops every pod of the node).

mod file;
mod keep;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub use file::FileError;
pub use keep::keep;

use super::InstallSettings;
use super::conflist::{Conflist, ConflistError, LONGEST, PLUGIN};
use file::{Stamp, read_text, replace, replace_text};

/// What an installation found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The configuration that our entry is in.
    pub configuration: PathBuf,
    /// Whether anything had to be written.
    pub changed: bool,
}

/// Why the plugin is not installed, or not gone. Nothing was changed by the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// No network plugin has been set up yet.
    #[error("there is no CNI configuration in {} yet: the node's network plugin comes first", folder.display())]
    NoConfiguration {
        /// The folder.
        folder: PathBuf,
    },
    /// The configuration in use is of the older kind, with one plugin and no place for a second.
    #[error(
        "the node uses {}, which is no .conflist: a plugin cannot be chained to it (let the network plugin write a .conflist)",
        path.display()
    )]
    NoList {
        /// The file.
        path: PathBuf,
    },
    /// The configuration cannot be edited.
    #[error("{} is left as it is: {source}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ConflistError,
    },
    /// Somebody else wrote at the same moment.
    #[error("{} was changed by somebody else at the same time: try again", path.display())]
    Contended {
        /// The file.
        path: PathBuf,
    },
    /// A configuration that names the plugin cannot be edited, so the executable stays.
    #[error("the executable stays, since {} may name it: {source}", path.display())]
    StillNamed {
        /// The file.
        path: PathBuf,
        /// Why it cannot be edited.
        source: ConflistError,
    },
}

/// Installs, again and again without further effect.
#[derive(Debug)]
pub struct Installer {
    settings: InstallSettings,
    binary: PathBuf,
    copied: Option<(Stamp, Stamp)>,
}

impl Installer {
    /// `binary` is the program to copy: the agent's own (`std::env::current_exe`).
    pub fn new(settings: InstallSettings, binary: PathBuf) -> Self {
        Self { settings, binary, copied: None }
    }

    /// Puts executable and entry in place where they are not.
    pub fn install(&mut self) -> Result<Installed, InstallError> {
        let configuration = in_use(&self.settings.conf_dir)?;
        let text = read_text(&configuration, LONGEST)?;
        let refused = |source| InstallError::Configuration { path: configuration.clone(), source };
        let edited = Conflist::parse(&text).and_then(|list| list.with(&self.entry())).map_err(refused)?;
        let copied = self.copy()?;
        if let Some(edited) = &edited {
            replace_text(&configuration, &text, edited)?;
        }
        Ok(Installed { changed: copied || edited.is_some(), configuration })
    }

    /// Takes the entry out of every configuration, then the executable away. Fails without taking the executable when
    /// a configuration that may name it cannot be edited.
    pub fn uninstall(&mut self) -> Result<(), InstallError> {
        for path in configurations(&self.settings.conf_dir)? {
            let text = match read_text(&path, LONGEST) {
                Err(error) if error.is_missing() => continue,
                read => read?,
            };
            match Conflist::parse(&text) {
                Ok(list) => {
                    if let Some(edited) = list.without() {
                        replace_text(&path, &text, &edited)?;
                    }
                }
                // A file that is not ours to judge, unless it names us.
                Err(_) if !text.contains(PLUGIN) => {}
                Err(source) => return Err(InstallError::StillNamed { path, source }),
            }
        }
        file::sweep(&self.settings.conf_dir)?;
        if !self.settings.keep_binary {
            file::remove(&self.target())?;
        }
        self.copied = None;
        Ok(file::sweep(&self.settings.bin_dir)?)
    }

    fn target(&self) -> PathBuf {
        self.settings.bin_dir.join(PLUGIN)
    }

    /// Copies the executable unless it is there. Once it is, files that look the same are not read again.
    fn copy(&mut self) -> Result<bool, InstallError> {
        let target = self.target();
        let stamps = |binary: &Path| Some((Stamp::of(binary)?, Stamp::of(&target)?));
        if self.copied.is_some() && self.copied == stamps(&self.binary) {
            return Ok(false);
        }
        let wanted = file::read(&self.binary)?;
        let there = Stamp::of(&target).filter(Stamp::is_executable).and_then(|_| file::read(&target).ok());
        let changed = there.as_ref() != Some(&wanted);
        if changed {
            replace(&target, &wanted, file::EXECUTABLE)?;
        }
        self.copied = stamps(&self.binary);
        Ok(changed)
    }

    fn entry(&self) -> Map<String, Value> {
        let entry = json!({
            "type": PLUGIN,
            "socket": self.settings.socket.to_string_lossy(),
            "timeoutSeconds": self.settings.timeout.as_secs_f64(),
            "failClosed": self.settings.fail_closed,
        });
        match entry {
            Value::Object(entry) => entry,
            _ => Map::new(),
        }
    }
}

/// The configuration that runtimes use: the first by name (containerd go-cni `loadFromConfDir`, CRI-O ocicni).
fn in_use(folder: &Path) -> Result<PathBuf, InstallError> {
    let first = configurations(folder)?.into_iter().next();
    let path = first.ok_or_else(|| InstallError::NoConfiguration { folder: folder.to_owned() })?;
    match path.extension() {
        Some(extension) if extension == "conflist" => Ok(path),
        _ => Err(InstallError::NoList { path }),
    }
}

/// Everything that a runtime takes for a configuration (libcni `ConfFiles`), sorted as it sorts.
fn configurations(folder: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let mut paths = file::list(folder)?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| ["conf", "conflist", "json"].iter().any(|known| extension == *known))
    });
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
