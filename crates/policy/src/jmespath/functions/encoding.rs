//! Kyverno's functions on encodings, digests and certificates. Text that is not UTF-8 after decoding has its faults
//! replaced, as it would in JSON.

use super::{Invocation, Outcome};
use crate::go::base64;
use crate::jmespath::item::Item;
use sha2::Digest;

pub(super) fn base64_decode<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let text = call.text(0)?;
    call.evaluator.charge_text(text.len())?;
    let bytes = base64::decode(text)
        .map_err(|offset| call.fail(format_args!("illegal base64 data at input byte {offset}")))?;
    Ok(Item::owned(String::from_utf8_lossy(&bytes)))
}

pub(super) fn base64_encode<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    call.string(base64::encode(call.text(0)?.as_bytes()))
}

fn digest<'a, D: Digest>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let text = call.text(0)?;
    call.evaluator.charge_text(text.len())?;
    let hex: String = D::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Item::owned(hex))
}

pub(super) fn md5<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    digest::<md5::Md5>(call)
}

pub(super) fn sha1<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    digest::<sha1::Sha1>(call)
}

pub(super) fn sha256<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    digest::<sha2::Sha256>(call)
}

#[cfg(feature = "full-functions")]
pub(super) fn x509_decode<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let text = call.text(0)?;
    call.evaluator.charge(text.len() as u64)?;
    super::x509::decode(text).map(Item::owned).map_err(|reason| call.fail(reason))
}

#[cfg(not(feature = "full-functions"))]
pub(super) fn x509_decode<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Err(call.fail("not part of this build (feature full-functions)"))
}
