//! The flags of `apply`: all of Kyverno's, and ours.

use std::path::PathBuf;

use clap::Args;
use meshward_policy::kyverno::quirk::Mode;

use crate::exit::{Failure, Outcome};

const EXAMPLES: &str = "\
Examples:
  meshward apply policies/ -r deployment.yaml
  kubectl get pods -A -o yaml | meshward apply policies/ -r -
  meshward apply policies/ --cluster -n shop
  meshward apply policy.yaml -r pods/ -f values.yaml -e exceptions.yaml -t --detailed-results
  meshward apply policies/ -r app.yaml -o sarif > meshward.sarif
  meshward apply policies/ -r app.yaml --policy-report --output-format json

Exit codes: 1 when a rule failed or could not be decided, 2 when a policy or an object cannot be read or evaluated,
3 when the cluster cannot be asked;
warnings alone end with the code of --warn-exit-code";

/// Apply Kyverno policies to the objects of files or of a cluster
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Files and folders with policies; - for standard input. With --cluster and none of them, those of the cluster
    #[arg(value_name = "POLICY", required_unless_present = "cluster")]
    pub(super) policies: Vec<PathBuf>,
    /// Files and folders with objects; - for standard input
    #[arg(short, long, alias = "resources", value_name = "PATH", value_delimiter = ',')]
    pub(super) resource: Vec<PathBuf>,
    /// Ask a cluster: its objects are judged, and it answers what policies ask
    #[arg(short, long, conflicts_with = "resource")]
    pub(super) cluster: bool,
    /// Of the cluster, only objects of this namespace
    #[arg(short, long, value_name = "NAMESPACE", requires = "cluster")]
    pub(super) namespace: Option<String>,
    /// Of the cluster, objects without a namespace too where --namespace names one
    #[arg(long, requires = "cluster")]
    pub(super) cluster_wide_resources: bool,
    /// Kubeconfig in place of KUBECONFIG, the service account and ~/.kube/config
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than its current one
    #[arg(long, value_name = "NAME", requires = "cluster")]
    pub(super) context: Option<String>,
    /// Form of the results: table, json, yaml, sarif, junit or markdown
    #[arg(short, long, value_name = "FORM")]
    pub(super) output: Option<String>,
    /// Show a row for each result
    #[arg(short, long)]
    pub(super) table: bool,
    /// Show the message of each result in the table too
    #[arg(long)]
    pub(super) detailed_results: bool,
    /// Print policy reports (openreports.io)
    #[arg(short, long)]
    pub(super) policy_report: bool,
    /// Print a PolicyException for each violation
    #[arg(long)]
    pub(super) generate_exceptions: bool,
    /// How long the printed exceptions are to live; 0s for ever
    #[arg(long, value_name = "DURATION", default_value = "720h0m0s")]
    pub(super) generated_exception_ttl: String,
    /// Form of reports and exceptions
    #[arg(long, value_name = "FORM", default_value = "yaml", value_parser = ["yaml", "json"])]
    pub(super) output_format: String,
    /// Values for variables, by policy, rule and object
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "set")]
    pub(super) values_file: Option<PathBuf>,
    /// Value of a variable
    #[arg(short, long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(super) set: Vec<String>,
    /// Who asks: user, groups, roles
    #[arg(short, long, value_name = "FILE")]
    pub(super) userinfo: Option<PathBuf>,
    /// Files and folders with PolicyExceptions
    #[arg(short, long, alias = "exceptions", value_name = "PATH", value_delimiter = ',')]
    pub(super) exception: Vec<PathBuf>,
    /// PolicyExceptions stand among the objects
    #[arg(long, alias = "exceptions-with-resources")]
    pub(super) exceptions_within_resources: bool,
    /// PolicyExceptions stand among the policies
    #[arg(long)]
    pub(super) exceptions_within_policies: bool,
    /// Violations of policies that do not block are warnings
    #[arg(long)]
    pub(super) audit_warn: bool,
    /// Exit code when there are warnings and nothing worse
    #[arg(long, value_name = "CODE", default_value_t = 0)]
    pub(super) warn_exit_code: u8,
    /// End with that code too when nothing passed
    #[arg(long)]
    pub(super) warn_no_pass: bool,
    /// How policies are read: as Kyverno does, or as they are meant
    #[arg(long, value_name = "MODE", default_value = "kyverno", value_parser = mode)]
    pub(super) mode: Mode,
    /// Definitions of custom resources, for kinds without a namespace
    #[arg(long, alias = "crd-path", value_name = "FILE", value_delimiter = ',')]
    pub(super) crd_paths: Vec<PathBuf>,
    /// Leave out the heading
    #[arg(short = 'i', long)]
    pub(super) stdin: bool,
    /// No colours, not even on a terminal
    #[arg(long)]
    pub(super) remove_color: bool,
    #[command(flatten)]
    others: Others,
}

fn mode(text: &str) -> Result<Mode, String> {
    text.parse().map_err(|_| "accepted: kyverno, strict".to_owned())
}

/// Flags of Kyverno's that are ignored or refused; `kyverno::flags` says why.
#[derive(Args)]
struct Others {
    #[arg(long, hide = true)]
    batch_size: Option<String>,
    #[arg(long, hide = true)]
    concurrent: Option<String>,
    #[arg(long, hide = true)]
    context_file: Option<String>,
    #[arg(long, hide = true)]
    continue_on_error: bool,
    #[arg(long, hide = true)]
    continue_on_fail: bool,
    #[arg(long, hide = true)]
    envoy_payload: Vec<String>,
    #[arg(short = 'b', long, hide = true)]
    git_branch: Option<String>,
    #[arg(long, hide = true)]
    http_payload: Vec<String>,
    #[arg(long, hide = true)]
    json: Vec<String>,
    #[arg(long, hide = true)]
    parameter_resource: Vec<String>,
    #[arg(long, hide = true)]
    password: Option<String>,
    #[arg(long, hide = true)]
    registry: bool,
    #[arg(long, hide = true)]
    show_performance: bool,
    #[arg(long, alias = "target-resources", hide = true)]
    target_resource: Vec<String>,
    #[arg(long, hide = true)]
    username: Option<String>,
    #[arg(short, long, hide = true)]
    v: Option<String>,
    #[arg(long, hide = true)]
    warnings_as_errors: bool,
}

impl Arguments {
    /// The flags that are ignored or refused, and whether they were given.
    pub(super) fn unsupported(&self) -> [(&'static str, bool); 17] {
        let others = &self.others;
        [
            ("batch-size", others.batch_size.is_some()),
            ("concurrent", others.concurrent.is_some()),
            ("context-file", others.context_file.is_some()),
            ("continue-on-error", others.continue_on_error),
            ("continue-on-fail", others.continue_on_fail),
            ("envoy-payload", !others.envoy_payload.is_empty()),
            ("git-branch", others.git_branch.is_some()),
            ("http-payload", !others.http_payload.is_empty()),
            ("json", !others.json.is_empty()),
            ("parameter-resource", !others.parameter_resource.is_empty()),
            ("password", others.password.is_some()),
            ("registry", others.registry),
            ("show-performance", others.show_performance),
            ("target-resource", !others.target_resource.is_empty()),
            ("username", others.username.is_some()),
            ("v", others.v.is_some()),
            ("warnings-as-errors", others.warnings_as_errors),
        ]
    }

    /// What cannot be meant.
    pub(super) fn check(&self) -> Outcome {
        let reads_stdin = |paths: &[PathBuf]| paths.iter().filter(|path| path.as_os_str() == "-").count();
        if self.resource.is_empty() && !self.cluster {
            return Err(Failure::input(
                "no objects: found neither --resource nor --cluster, accepted: at least one file or folder, or a cluster",
            ));
        }
        if reads_stdin(&self.policies) + reads_stdin(&self.resource) > 1 {
            return Err(Failure::input(
                "standard input is named more than once, accepted: - for policies or for objects, once",
            ));
        }
        Ok(())
    }
}
