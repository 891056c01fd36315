//! The table of lints: the command line, the documentation and the findings read the same rows.

use super::{Lint, Severity};
use crate::kyverno::quirk::Quirk;

macro_rules! lints {
    ($($name:ident $severity:ident $id:literal $about:literal $instead:literal)*) => {
        $(pub(super) static $name: Lint =
            Lint { id: $id, severity: Severity::$severity, about: $about, instead: $instead, quirk: None };)*
        static OWN: &[&Lint] = &[$(&$name),*];
    };
}

lints! {
    UNKNOWN_KIND Error "unknown-kind"
        "The kind or version is none of its group, so that nothing reads the object."
        "a kind and version that exist"
    UNKNOWN_FIELD Error "unknown-field"
        "No such field exists; what it says has no effect, and Kyverno's command line passes over the whole policy."
        "the field that is meant"
    WRONG_TYPE Error "wrong-type"
        "The field holds a value of another type."
        "a value of the field's type"
    INVALID Error "invalid"
        "The object cannot be used as it is written."
        "what the message says is accepted"
    UNSUPPORTED_RULE Warning "unsupported-rule"
        "The rule does something that is not evaluated here; nothing is checked by it."
        "a validate rule with podSecurity, pattern, anyPattern, deny or foreach, or leave it to Kyverno"
    UNKNOWN_CONTROL Error "unknown-control"
        "No control of the Pod Security Standards has this name; the exclusion can never match."
        "the control's whole name"
    UNKNOWN_CONTROL_FIELD Error "unknown-control-field"
        "The control does not look at this field; the exclusion can never match."
        "a field of the control"
    VALUE_NEVER_FORBIDDEN Error "value-never-forbidden"
        "The field never has this value where it is forbidden; the value can never match."
        "a value that the control forbids"
    CONTROL_NOT_ACTIVE Warning "control-not-active"
        "The control is not checked at the level and version; there is nothing to exempt from."
        "remove it, or raise the level or version"
    IMAGE_NEVER_MATCHES Error "image-never-matches"
        "No image reference fits the pattern; the exclusion can never match."
        "registry/repository:tag with * for a part of it"
    SPOOFABLE_IMAGE Error "spoofable-image"
        "Images that anybody can push fit the pattern, so that anybody can have the exemption."
        "the whole registry and repository, such as docker.io/istio/proxyv2:*"
    IMAGE_WITHOUT_REGISTRY Warning "image-without-registry"
        "The pattern names no registry; Kyverno compares texts, so that the same image written in full is not matched."
        "the registry as the pods write it, such as docker.io/istio/proxyv2:*"
    REFUSED_BY_KYVERNO Error "refused-by-kyverno"
        "Kyverno's admission refuses an exclusion of this shape."
        "images for controls of containers and none for those of pods; restrictedField and values only together"
    WHOLE_CONTROL Warning "whole-control"
        "A whole control is exempted; every field and value of it, also those nobody thought of."
        "the field and the values that are needed; `--resources` finds them"
    POWERFUL_WITHOUT_VALUE Warning "powerful-without-value"
        "A control that guards the node itself is exempted without naming values."
        "the field with its values, such as the one path on the host"
    NAME_ONLY Warning "name-only"
        "The selection hangs on names alone, which whoever writes the object chooses."
        "the image with its registry, the kind of container and its command as well"
    INIT_AND_SIDECAR Warning "init-and-sidecar"
        "Image and init containers are named but not their kind: a native sidecar of the same image is exempted for the \
         whole life of the pod."
        "kinds: [init], and the command of the init container"
    EXPIRED Warning "expired"
        "The moment in `expires` has passed; it has no effect."
        "remove it, or set a later moment after a look at the reason"
    SHADOWED Warning "shadowed"
        "Another one covers it entirely; it adds nothing, and removing it would change nothing."
        "remove it, or remove the wider one"
    UNKNOWN_PRESET Error "unknown-preset"
        "No preset has this name."
        "the name of a built-in preset"
    EXCEPTION_UNKNOWN_POLICY Error "exception-unknown-policy"
        "The exception names a policy that is not among those given; Kyverno accepts it and it does nothing."
        "the policy's name, namespace/name for a Policy"
    EXCEPTION_UNKNOWN_RULE Error "exception-unknown-rule"
        "The exception names a rule that the policy does not have; Kyverno accepts it and it does nothing."
        "a name of a rule of the policy"
    EXCEPTION_FORGETS_AUTOGEN Warning "exception-forgets-autogen"
        "The exception is about controllers but does not name the rules that are generated for them."
        "autogen-RULE and autogen-cronjob-RULE beside RULE"
    EXCEPTION_WHOLE_RULE Warning "exception-whole-rule"
        "The exception takes a podSecurity rule out as a whole, with every control of the level."
        "podSecurity with the controls, images, fields and values that are needed"
    SAVES_NOTHING Warning "saves-nothing"
        "With the given resources it makes no difference."
        "remove it if the resources are all there are"
    WIDER_THAN_NEEDED Warning "wider-than-needed"
        "The given resources need less than it exempts."
        "the narrowed form"
    PSA_INVALID_LABEL Error "psa-invalid-label"
        "The label's value is no level or version; enforce then means restricted, audit and warn mean nothing."
        "privileged, baseline or restricted; latest or v1.N"
    PSA_UNKNOWN_LABEL Error "psa-unknown-label"
        "Nobody reads a label of this name."
        "enforce, audit or warn, alone or with -version"
    PSA_VERSION_WITHOUT_LEVEL Warning "psa-version-without-level"
        "The version pins nothing, because the mode has no level here."
        "the level beside the version"
    PSA_MODE_SAYS_NOTHING Info "psa-mode-says-nothing"
        "Whatever the mode forbids is refused already, so that it never says anything."
        "a stricter level than that of enforce, or no label"
    PSA_FUTURE_VERSION Info "psa-future-version"
        "The version is newer than the standards that are known here; the newest known ones count."
        "latest, or a version that exists"
    PSA_EXEMPTS_CONTROLLER Error "psa-exempts-controller"
        "A controller's account is exempted, and with it whoever may create the objects that it makes pods of."
        "an exemption for the pods that need it"
}

const fn quirk(quirk: Quirk, severity: Severity, id: &'static str, instead: &'static str) -> Lint {
    Lint { id, severity, about: "", instead, quirk: Some(quirk) }
}

static QUIRKS: [Lint; 13] = [
    quirk(
        Quirk::PrivilegedChecksAll,
        Severity::Warning,
        "kyverno-privileged-checks-all",
        "no rule at all where nothing is to be checked",
    ),
    quirk(
        Quirk::OneErrorAtATime,
        Severity::Warning,
        "kyverno-one-error-at-a-time",
        "an exclusion with images for the containers",
    ),
    quirk(
        Quirk::ValuesAllOrNothing,
        Severity::Warning,
        "kyverno-values-all-or-nothing",
        "one exclusion with all values",
    ),
    quirk(
        Quirk::MissingIgnoresValues,
        Severity::Warning,
        "kyverno-missing-ignores-values",
        "the field set in the pod, so that the exclusion is about its value",
    ),
    quirk(
        Quirk::VolumesWithoutValues,
        Severity::Warning,
        "kyverno-volumes-without-values",
        "an Exemption, which compares paths",
    ),
    quirk(
        Quirk::FrozenStandards,
        Severity::Warning,
        "kyverno-frozen-standards",
        "version latest, or namespace labels, which honour it",
    ),
    quirk(
        Quirk::HostProbesUnexcludable,
        Severity::Error,
        "kyverno-host-probes-unexcludable",
        "an Exemption, which knows the control",
    ),
    quirk(
        Quirk::RawImages,
        Severity::Warning,
        "kyverno-raw-images",
        "registry, repository and tag written out, such as docker.io/istio/proxyv2:1.27.*",
    ),
    quirk(
        Quirk::SidecarsAreInit,
        Severity::Warning,
        "kyverno-sidecars-are-init",
        "an Exemption with kinds: [init]",
    ),
    quirk(
        Quirk::HostPathsAreText,
        Severity::Warning,
        "kyverno-host-paths-are-text",
        "whole paths without wildcards, or an Exemption, which compares paths by component",
    ),
    quirk(
        Quirk::LevelsApart,
        Severity::Warning,
        "kyverno-levels-apart",
        "two exclusions, one with images and one without, each with its restrictedField",
    ),
    quirk(
        Quirk::PodFieldsIgnoreImages,
        Severity::Warning,
        "kyverno-pod-fields-ignore-images",
        "an exclusion without images, or an Exemption, which looks at the containers that mount a volume",
    ),
    quirk(
        Quirk::OrderLost,
        Severity::Info,
        "kyverno-order-lost",
        "nothing: only the order of messages changes",
    ),
];

/// Every lint, those about Kyverno's quirks last.
pub fn all() -> impl Iterator<Item = &'static Lint> {
    OWN.iter().copied().chain(&QUIRKS)
}

/// The lint about a quirk.
pub(super) fn of_quirk(quirk: Quirk) -> &'static Lint {
    &QUIRKS[quirk as usize]
}
