//! Kyverno 1.19's fields: the custom resource definitions of `kyverno.io` and `cli.kyverno.io`, as far as this program
//! reads them. What other engines evaluate (mutation, CEL, image signatures) may hold anything.

use super::Fields;
use super::Shape::{self, Any, Flag, Map, Text, Texts};

const LABEL_SELECTOR: Shape = Map(&[
    ("matchLabels", &Any),
    ("matchExpressions", &Map(&[("key", &Text), ("operator", &Text), ("values", &Texts)])),
]);

const DESCRIPTION: Shape = Map(&[
    ("annotations", &Any),
    ("kinds", &Texts),
    ("name", &Text),
    ("names", &Texts),
    ("namespaceSelector", &LABEL_SELECTOR),
    ("namespaces", &Texts),
    ("operations", &Texts),
    ("selector", &LABEL_SELECTOR),
]);

const SUBJECTS: Shape = Map(&[("apiGroup", &Text), ("kind", &Text), ("name", &Text), ("namespace", &Text)]);

const FILTER: Shape =
    Map(&[("clusterRoles", &Texts), ("resources", &DESCRIPTION), ("roles", &Texts), ("subjects", &SUBJECTS)]);

const BLOCK: Shape = Map(&[
    ("all", &FILTER),
    ("any", &FILTER),
    ("clusterRoles", &Texts),
    ("resources", &DESCRIPTION),
    ("roles", &Texts),
    ("subjects", &SUBJECTS),
]);

const CONTEXT: Shape = Map(&[
    (
        "apiCall",
        &Map(&[
            ("data", &Map(&[("key", &Any), ("value", &Any)])),
            ("default", &Any),
            ("jmesPath", &Text),
            ("method", &Text),
            (
                "service",
                &Map(&[
                    ("caBundle", &Text),
                    ("headers", &Map(&[("key", &Any), ("value", &Any)])),
                    ("url", &Text),
                ]),
            ),
            ("urlPath", &Text),
        ]),
    ),
    ("configMap", &Map(&[("name", &Text), ("namespace", &Text)])),
    ("globalReference", &Map(&[("jmesPath", &Text), ("name", &Text)])),
    (
        "imageRegistry",
        &Map(&[
            (
                "imageRegistryCredentials",
                &Map(&[("allowInsecureRegistry", &Flag), ("providers", &Any), ("secrets", &Any)]),
            ),
            ("jmesPath", &Text),
            ("reference", &Text),
        ]),
    ),
    ("name", &Text),
    ("variable", &Map(&[("default", &Any), ("jmesPath", &Text), ("value", &Any)])),
]);

/// Preconditions and conditions are `any` and `all`, or the old list; items have the same fields either way.
const CONDITION_FIELDS: Fields = &[("key", &Any), ("message", &Text), ("operator", &Text), ("value", &Any)];

const CONDITIONS: Shape = Map(&[
    ("all", &Map(CONDITION_FIELDS)),
    ("any", &Map(CONDITION_FIELDS)),
    ("key", &Any),
    ("message", &Text),
    ("operator", &Text),
    ("value", &Any),
]);

const OVERRIDES: Shape =
    Map(&[("action", &Text), ("namespaceSelector", &LABEL_SELECTOR), ("namespaces", &Texts)]);

/// Loops nest; what is in an inner one is looked at when the policy is compiled.
const LOOP: Shape = Map(&[
    ("anyPattern", &Any),
    ("context", &CONTEXT),
    ("deny", &Map(&[("conditions", &CONDITIONS)])),
    ("elementScope", &Flag),
    ("foreach", &Any),
    ("list", &Text),
    ("pattern", &Any),
    ("preconditions", &CONDITIONS),
]);

const EXCLUSIONS: Shape =
    Map(&[("controlName", &Text), ("images", &Texts), ("restrictedField", &Text), ("values", &Texts)]);

const VALIDATE: Shape = Map(&[
    ("allowExistingViolations", &Flag),
    ("anyPattern", &Any),
    ("assert", &Any),
    ("cel", &Any),
    ("deny", &Map(&[("conditions", &CONDITIONS)])),
    ("failureAction", &Text),
    ("failureActionOverrides", &OVERRIDES),
    ("foreach", &LOOP),
    ("manifests", &Any),
    ("message", &Text),
    ("pattern", &Any),
    ("podSecurity", &Map(&[("exclude", &EXCLUSIONS), ("level", &Text), ("version", &Text)])),
]);

const RULE: Shape = Map(&[
    ("celPreconditions", &Any),
    ("context", &CONTEXT),
    ("exclude", &BLOCK),
    ("generate", &Any),
    ("imageExtractors", &Any),
    ("match", &BLOCK),
    ("mutate", &Any),
    ("name", &Text),
    ("preconditions", &CONDITIONS),
    ("reportProperties", &Any),
    ("skipBackgroundRequests", &Flag),
    ("validate", &VALIDATE),
    ("verifyImages", &Any),
]);

const SPEC: Shape = Map(&[
    ("admission", &Flag),
    ("applyRules", &Text),
    ("background", &Flag),
    ("emitWarning", &Flag),
    ("failurePolicy", &Text),
    ("generateExisting", &Flag),
    ("generateExistingOnPolicyUpdate", &Flag),
    ("mutateExistingOnPolicyUpdate", &Flag),
    ("rules", &RULE),
    ("schemaValidation", &Flag),
    ("useServerSideApply", &Flag),
    ("validationFailureAction", &Text),
    ("validationFailureActionOverrides", &OVERRIDES),
    (
        "webhookConfiguration",
        &Map(&[
            ("failurePolicy", &Text),
            ("matchConditions", &Map(&[("expression", &Any), ("name", &Any)])),
            ("timeoutSeconds", &Any),
        ]),
    ),
    ("webhookTimeoutSeconds", &Any),
]);

/// `ClusterPolicy` and `Policy`.
pub(crate) const POLICY: Shape =
    Map(&[("apiVersion", &Any), ("kind", &Any), ("metadata", &Any), ("spec", &SPEC), ("status", &Any)]);

/// `PolicyException`.
pub(crate) const EXCEPTION: Shape = Map(&[
    ("apiVersion", &Any),
    ("kind", &Any),
    ("metadata", &Any),
    (
        "spec",
        &Map(&[
            ("background", &Flag),
            ("conditions", &CONDITIONS),
            ("exceptions", &Map(&[("policyName", &Text), ("ruleNames", &Texts)])),
            ("match", &BLOCK),
            ("podSecurity", &EXCLUSIONS),
        ]),
    ),
]);

const NAMESPACE_LABELS: Shape = Map(&[("labels", &Any), ("name", &Any)]);

const VALUES_OF_POLICY: Shape = Map(&[
    ("name", &Text),
    ("resources", &Map(&[("name", &Text), ("values", &Any)])),
    ("rules", &Map(&[("foreachValues", &Any), ("name", &Text), ("values", &Any)])),
]);

/// `Values`.
pub(crate) const VALUES: Shape = Map(&[
    ("apiVersion", &Any),
    ("globalValues", &Any),
    ("kind", &Any),
    ("metadata", &Any),
    ("namespaceSelector", &NAMESPACE_LABELS),
    ("namespaces", &Any),
    ("policies", &VALUES_OF_POLICY),
    ("subresources", &Map(&[("parentResource", &Any), ("subresource", &Any)])),
]);

/// `UserInfo`.
pub(crate) const USER_INFO: Shape = Map(&[
    ("apiVersion", &Any),
    ("clusterRoles", &Texts),
    ("kind", &Any),
    ("metadata", &Any),
    ("roles", &Texts),
    ("synchronize", &Any),
    ("userInfo", &Map(&[("extra", &Any), ("groups", &Texts), ("uid", &Text), ("username", &Text)])),
]);

const RESULT: Shape = Map(&[
    ("cloneSourceResource", &Any),
    ("failOnMissingResources", &Any),
    ("generatedResource", &Any),
    ("generatedResources", &Any),
    ("isDeletingPolicy", &Any),
    ("isGeneratingPolicy", &Any),
    ("isImageValidatingPolicy", &Any),
    ("isMutatingAdmissionPolicy", &Any),
    ("isMutatingPolicy", &Any),
    ("isValidatingAdmissionPolicy", &Any),
    ("isValidatingPolicy", &Any),
    ("kind", &Text),
    // Until 1.12, with `resource`, `status` and `patchedResource`.
    ("namespace", &Text),
    ("operation", &Text),
    ("patchedResource", &Any),
    ("patchedResources", &Any),
    ("policy", &Text),
    ("resource", &Any),
    (
        "resourceSpecs",
        &Map(&[
            ("group", &Text),
            ("kind", &Text),
            ("name", &Text),
            ("namespace", &Text),
            ("subresource", &Any),
            ("version", &Text),
        ]),
    ),
    ("resources", &Texts),
    ("result", &Text),
    ("rule", &Text),
    ("status", &Text),
]);

/// `Test`.
pub(crate) const TEST: Shape = Map(&[
    (
        "apiCallResponses",
        &Map(&[
            ("method", &Any),
            ("response", &Map(&[("body", &Any), ("statusCode", &Any)])),
            ("url", &Any),
            ("urlPath", &Any),
        ]),
    ),
    ("apiVersion", &Any),
    ("clusterResources", &Any),
    ("context", &Any),
    ("envoyPayloads", &Any),
    ("exceptions", &Any),
    (
        "globalContextEntries",
        &Map(&[
            ("data", &Any),
            ("fieldPath", &Any),
            ("name", &Any),
            ("projections", &Map(&[("name", &Any), ("path", &Any)])),
            ("resourceFiles", &Any),
            ("resources", &Any),
        ]),
    ),
    ("httpPayloads", &Any),
    ("jsonPayload", &Any),
    ("jsonPayloads", &Any),
    ("kind", &Any),
    ("metadata", &Any),
    ("name", &Any),
    ("paramResources", &Any),
    ("policies", &Any),
    ("resources", &Any),
    ("results", &RESULT),
    ("targetResources", &Any),
    ("userinfo", &Any),
    ("values", &VALUES),
    ("variables", &Any),
]);
