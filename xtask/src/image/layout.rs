//! An image as the OCI image layout (image-spec 1.1): a folder that registry tools push, and the same as one archive
//! that container runtimes import. Blobs are named by what they hold, so the same image is the same digest.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType};

use super::layer::{Layer, append};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The bill of materials.
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// Archives carry no time; nor does the image.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// What an image is made of.
pub(crate) struct Image {
    /// With its tag: `ghcr.io/meshward/node:1.0.0`.
    pub(crate) name: String,
    /// `amd64` or `arm64`, as Go spells it.
    pub(crate) architecture: &'static str,
    pub(crate) layer: Layer,
    /// The program that is started.
    pub(crate) entrypoint: String,
    /// `UID:GID`
    pub(crate) user: &'static str,
    pub(crate) labels: BTreeMap<String, String>,
    /// The bill of materials, attached to the image as a referrer.
    pub(crate) sbom: Option<Vec<u8>>,
}

/// The image in its blobs.
pub(crate) struct Layout {
    /// Of the manifest: `sha256:…`. What a registry will say too.
    pub(crate) digest: String,
    blobs: BTreeMap<String, Vec<u8>>,
    image: Value,
    /// The manifest of the bill of materials, which refers to the image's.
    referrer: Option<Value>,
}

impl Layout {
    pub(crate) fn of(image: &Image) -> Result<Self> {
        let mut blobs = BTreeMap::new();
        let files = image.layer.to_tar()?;
        let layer = put(&mut blobs, LAYER, compressed(&files)?);
        let config = put(&mut blobs, CONFIG, serde_json::to_vec(&config(image, &sha256(&files)))?);
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let descriptor = put(&mut blobs, MANIFEST, serde_json::to_vec(&manifest)?);
        let digest = descriptor["digest"].as_str().unwrap_or_default().to_string();
        let referrer = match &image.sbom {
            Some(sbom) => Some(attach(&mut blobs, &descriptor, sbom.clone())?),
            None => None,
        };
        let mut image_entry = descriptor;
        image_entry["platform"] = json!({"architecture": image.architecture, "os": "linux"});
        image_entry["annotations"] = json!({
            "io.containerd.image.name": image.name,
            "org.opencontainers.image.ref.name": image.name.rsplit(':').next(),
        });
        Ok(Self { digest, blobs, image: image_entry, referrer })
    }

    /// Bytes of everything, without the archive's padding.
    pub(crate) fn size(&self) -> usize {
        self.blobs.values().map(Vec::len).sum()
    }

    /// Writes the folder anew.
    pub(crate) fn write_folder(&self, folder: &Path) -> Result<()> {
        let failed = || format!("cannot write {}", folder.display());
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(failed)?;
        }
        let entries = std::iter::once(&self.image).chain(&self.referrer);
        for (path, content) in self.files(entries.cloned().collect())? {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).with_context(failed)?;
            }
            std::fs::write(path, content).with_context(failed)?;
        }
        Ok(())
    }

    /// The archive for `ctr images import` and its like. Only the image is listed: importers take every manifest that is
    /// listed for an image.
    pub(crate) fn to_archive(&self) -> Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, content) in self.files(vec![self.image.clone()])? {
            append(&mut archive, &path, EntryType::Regular, 0o644, &content)?;
        }
        archive.into_inner().context("cannot end the archive")
    }

    fn files(&self, manifests: Vec<Value>) -> Result<BTreeMap<String, Vec<u8>>> {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let mut files: BTreeMap<String, Vec<u8>> = self
            .blobs
            .iter()
            .map(|(digest, content)| (format!("blobs/sha256/{digest}"), content.clone()))
            .collect();
        files.insert("index.json".into(), serde_json::to_vec(&index)?);
        files.insert("oci-layout".into(), serde_json::to_vec(&json!({"imageLayoutVersion": "1.0.0"}))?);
        Ok(files)
    }
}

/// Digest in hexadecimal digits.
pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keeps a blob, and gives its descriptor.
fn put(blobs: &mut BTreeMap<String, Vec<u8>>, media_type: &str, content: Vec<u8>) -> Value {
    let digest = sha256(&content);
    let descriptor =
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len()});
    blobs.insert(digest, content);
    descriptor
}

/// As registries keep layers and nodes pull them; without a time or a name.
fn compressed(content: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(content).context("cannot compress the layer")?;
    gzip.finish().context("cannot compress the layer")
}

/// The configuration; `files` is the digest of the layer before it is compressed.
fn config(image: &Image, files: &str) -> Value {
    json!({
        "architecture": image.architecture,
        "os": "linux",
        "created": EPOCH,
        "config": {
            "Entrypoint": [image.entrypoint],
            "Env": ["PATH=/"],
            "Labels": image.labels,
            "User": image.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{files}")]},
        "history": [{"created": EPOCH, "created_by": "cargo xtask image"}],
    })
}

/// An artifact manifest whose subject is the image (image-spec 1.1, "artifact usage").
fn attach(blobs: &mut BTreeMap<String, Vec<u8>>, subject: &Value, sbom: Vec<u8>) -> Result<Value> {
    let config = put(blobs, EMPTY, b"{}".to_vec());
    let content = put(blobs, CYCLONEDX, sbom);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": CYCLONEDX,
        "config": config,
        "layers": [content],
        "subject": subject,
    });
    let mut descriptor = put(blobs, MANIFEST, serde_json::to_vec(&manifest)?);
    descriptor["artifactType"] = CYCLONEDX.into();
    Ok(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(content: &[u8]) -> Image {
        Image {
            name: "example.test/x:1".into(),
            architecture: "amd64",
            layer: Layer::default().file("/x", 0o755, content.to_vec()),
            entrypoint: "/x".into(),
            user: "65532:65532",
            labels: BTreeMap::from([("a".into(), "b".into())]),
            sbom: Some(br#"{"bomFormat":"CycloneDX"}"#.to_vec()),
        }
    }

    fn read(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().to_string_lossy().into_owned();
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
                (path, content)
            })
            .collect()
    }

    #[test]
    fn same_content_same_bytes() {
        let [one, other] = [Layout::of(&image(b"x")).unwrap(), Layout::of(&image(b"x")).unwrap()];
        assert_eq!(one.digest, other.digest);
        assert_eq!(one.to_archive().unwrap(), other.to_archive().unwrap());
        assert_ne!(one.digest, Layout::of(&image(b"y")).unwrap().digest);
    }

    #[test]
    fn every_descriptor_leads_to_its_blob() {
        let files = read(&Layout::of(&image(b"x")).unwrap().to_archive().unwrap());
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let content = &files[&format!("blobs/sha256/{digest}")];
            assert_eq!(sha256(content), digest);
            assert_eq!(descriptor["size"], content.len());
            content.clone()
        };
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        assert_eq!(
            index["manifests"].as_array().unwrap().len(),
            1,
            "importers take every manifest for an image"
        );
        let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        let mut files = Vec::new();
        let layer = blob(&manifest["layers"][0]);
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&layer[..]), &mut files).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(&files)));
        assert_eq!(read(&files)["x"], b"x");
    }

    #[test]
    fn the_folder_lists_the_bill_of_materials_as_a_referrer() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of(&image(b"x")).unwrap();
        layout.write_folder(folder.path()).unwrap();
        let json = |path: &str| -> Value {
            serde_json::from_slice(&std::fs::read(folder.path().join(path)).unwrap()).unwrap()
        };
        let index = json("index.json");
        let digest = index["manifests"][1]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let referrer = json(&format!("blobs/sha256/{digest}"));
        assert_eq!(referrer["subject"]["digest"], layout.digest);
        assert_eq!(referrer["artifactType"], CYCLONEDX);
    }
}
