//! The two APIs of reports.

use clap::ValueEnum;
use kube::api::ApiResource;
use meshward_kit::watch::resource;

use crate::hooks::{Api, Apis};

/// Which API reports are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Form {
    /// PolicyReport and ClusterPolicyReport of wgpolicyk8s.io/v1alpha2
    #[value(name = "policyreport")]
    PolicyReport,
    /// Report and ClusterReport of openreports.io/v1alpha1
    #[value(name = "openreports")]
    OpenReports,
    /// No reports
    None,
}

impl Form {
    /// Its group.
    pub fn group(self) -> &'static str {
        match self {
            Form::PolicyReport => "wgpolicyk8s.io",
            Form::OpenReports => "openreports.io",
            Form::None => "",
        }
    }

    /// Its version.
    pub fn version(self) -> &'static str {
        match self {
            Form::PolicyReport => "v1alpha2",
            Form::OpenReports => "v1alpha1",
            Form::None => "",
        }
    }

    /// The kind of report of an object that is in a namespace, or is not.
    pub fn kind(self, namespaced: bool) -> &'static str {
        match (self, namespaced) {
            (Form::PolicyReport, true) => "PolicyReport",
            (Form::PolicyReport, false) => "ClusterPolicyReport",
            (Form::OpenReports, true) => "Report",
            (Form::OpenReports, false) => "ClusterReport",
            (Form::None, _) => "",
        }
    }

    fn plural(self, namespaced: bool) -> &'static str {
        match (self, namespaced) {
            (Form::PolicyReport, true) => "policyreports",
            (Form::PolicyReport, false) => "clusterpolicyreports",
            (Form::OpenReports, true) => "reports",
            (Form::OpenReports, false) => "clusterreports",
            (Form::None, _) => "",
        }
    }

    /// As the client wants it.
    pub fn resource(self, namespaced: bool) -> ApiResource {
        resource(self.group(), self.version(), self.kind(namespaced), self.plural(namespaced))
    }

    /// Whether the API server has both kinds, from a definition or from an API server behind it.
    pub fn is_served(self, resources: &Apis) -> bool {
        let served = |namespaced| {
            let version = |served: &Api| served.gvk.version == self.version();
            let named =
                |served: &Api| served.gvk.group == self.group() && served.plural == self.plural(namespaced);
            resources.objects().any(|served| named(served) && version(served))
        };
        served(true) && served(false)
    }
}
