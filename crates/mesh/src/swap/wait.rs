//! The container that takes the place of the mesh's own, as *restricted* wants it (Kubernetes' Pod Security Standards,
//! v1.37): every field is written out, so that it passes whatever the pod itself says.

use meshward_redirect::Mesh;
use serde_json::{Map, Value, json};

use crate::verdict::Plan;

/// The name of the wait container. There is one in a pod.
pub const WAIT_CONTAINER: &str = "meshward-wait";
/// The user and group of the wait container's image; nobody's in particular, and no mesh's proxy.
const USER: u32 = 65532;
/// How long the wait container waits unless it is told otherwise, in seconds.
const TIMEOUT: u32 = 300;

/// How pods are swapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapOptions {
    /// The wait container's image.
    pub image: String,
    /// How long it waits for the rules, in seconds.
    pub timeout: u32,
    /// What it ends with when they do not come.
    pub exit: WaitExit,
    /// What becomes of validation containers of a mesh's CNI mode.
    pub validators: Validators,
    /// Whom it runs as.
    pub user: WaitUser,
}

impl Default for SwapOptions {
    /// The image of this release, 300 seconds, our own exit code, validators stay.
    fn default() -> Self {
        Self {
            image: concat!("ghcr.io/meshward/wait:", env!("CARGO_PKG_VERSION")).into(),
            timeout: TIMEOUT,
            exit: WaitExit::default(),
            validators: Validators::default(),
            user: WaitUser::default(),
        }
    }
}

/// The exit code of a wait container whose time is up. The meshes' repair controllers know pods by their own
/// validators' codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitExit {
    /// 96
    #[default]
    Own,
    /// 126, as Istio's validator (`ValidationErrorCode`)
    Istio,
    /// 95, as Linkerd's network validator
    Linkerd,
}

impl WaitExit {
    /// The code.
    pub fn code(self) -> u8 {
        match self {
            WaitExit::Own => 96,
            WaitExit::Istio => 126,
            WaitExit::Linkerd => 95,
        }
    }
}

/// Whom the wait container runs as, which decides what it can prove: the rules tell by the user whose traffic is the
/// proxy's own, and no process can be two users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitUser {
    /// 65532, an ordinary user: it proves that what applications send is captured, in every mesh.
    #[default]
    Ordinary,
    /// The proxy's user: it proves by a call to its own pod that inbound connections are captured, as Istio's validator
    /// does. Istio and Kuma have rules for such calls; Linkerd's and Consul's proxies are never captured, so there it
    /// stays an ordinary user.
    Proxy,
    /// Nobody is named: OpenShift's `restricted-v2` takes only users of the namespace's own range, and gives one.
    Platform,
}

impl WaitUser {
    fn id(self, plan: &Plan) -> Option<u32> {
        match self {
            WaitUser::Ordinary => Some(USER),
            WaitUser::Proxy => calls_itself(plan).or(Some(USER)),
            WaitUser::Platform => None,
        }
    }
}

/// The proxy's user in a mesh whose rules send its calls to its own pod through the inbound rules.
fn calls_itself(plan: &Plan) -> Option<u32> {
    let option = match plan.mesh {
        Mesh::Istio => "proxy-uid",
        Mesh::Kuma if plan.settings.switch("redirect-inbound") == Ok(true) => "kuma-dp-user",
        Mesh::Kuma | Mesh::Linkerd | Mesh::Consul => return None,
    };
    let users = plan.settings.get(option).value;
    users.split(',').find_map(|user| user.trim().parse().ok().filter(|user| *user != 0))
}

/// What becomes of a mesh's own unprivileged validation container (CNI mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validators {
    /// It stays: it holds up the pod just as well, and the mesh's repair controller looks for it.
    #[default]
    Keep,
    /// The wait container takes its place too, and proves what the validator proves.
    Replace,
}

/// The wait container of one pod.
pub(crate) struct Wait<'a> {
    options: &'a SwapOptions,
    user: Option<u32>,
}

impl<'a> Wait<'a> {
    pub(crate) fn of(options: &'a SwapOptions, plan: &Plan) -> Self {
        Self { options, user: options.user.id(plan) }
    }

    /// The container. It keeps the resources of the one it replaces, which the pod's author and the namespace's
    /// quotas have agreed on, and with which the pod keeps its quality of service class.
    pub(crate) fn container(&self, resources: Option<&Value>) -> Map<String, Value> {
        let mut container = Map::new();
        container.insert("name".into(), WAIT_CONTAINER.into());
        for (field, value) in self.fields() {
            container.insert(field.into(), value);
        }
        let given = resources.filter(|resources| {
            let some =
                |field: &str| resources.get(field).and_then(Value::as_object).is_some_and(|o| !o.is_empty());
            some("requests") || some("limits")
        });
        let small = || json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "32Mi"}});
        container.insert("resources".into(), given.cloned().unwrap_or_else(small));
        container
    }

    /// What makes a wait container ours, whatever else others have added to it.
    pub(crate) fn fields(&self) -> [(&'static str, Value); 4] {
        let SwapOptions { image, timeout, exit, .. } = self.options;
        let mut arguments = vec![format!("--timeout={timeout}")];
        if *exit != WaitExit::Own {
            arguments.push(format!("--exit-code={}", exit.code()));
        }
        [
            ("image", image.clone().into()),
            ("args", arguments.into()),
            ("securityContext", security_context(self.user)),
            // The reason it gave last is what `kubectl describe pod` shows.
            ("terminationMessagePolicy", "FallbackToLogsOnError".into()),
        ]
    }
}

fn security_context(user: Option<u32>) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsGroup": USER,
        "runAsNonRoot": true,
        "runAsUser": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if let (None, Value::Object(context)) = (user, &mut context) {
        ["runAsGroup", "runAsUser"].iter().for_each(|field| _ = context.shift_remove(*field));
    }
    context
}
