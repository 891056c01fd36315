//! Kyverno's functions on names of things: images, paths, URLs, versions.

use super::{Invocation, Outcome};
use crate::go::{text, url};
use crate::image::Image;
use crate::jmespath::item::Item;
use crate::semver_range::Range;
use semver::Version;

pub(super) fn image_normalize<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let environment = call.evaluator.context.environment;
    Image::parse(call.text(0)?, environment.default_registry(), environment.adds_default_registry())
        .map(|image| Item::owned(image.to_string()))
        .map_err(|error| call.fail(error))
}

pub(super) fn is_external_url<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let host = url::hostname(call.text(0)?).map_err(|error| call.fail(error))?;
    // An IPv6 address may carry the zone that it is valid in.
    if let Ok(address) = host.split('%').next().unwrap_or(&host).parse() {
        return Ok(Item::boolean(!url::is_internal(address)));
    }
    let addresses = call.evaluator.context.environment.resolve(&host).map_err(|error| call.fail(error))?;
    Ok(Item::boolean(!addresses.into_iter().any(url::is_internal)))
}

pub(super) fn path_canonicalize<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    call.string(text::clean_path(call.text(0)?))
}

pub(super) fn semver_compare<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    // Kyverno takes what is no version for 0.0.0.
    let version = Version::parse(call.text(0)?).unwrap_or(Version::new(0, 0, 0));
    let range = Range::parse(call.text(1)?).map_err(|error| call.fail(error))?;
    Ok(Item::boolean(range.contains(&version)))
}
