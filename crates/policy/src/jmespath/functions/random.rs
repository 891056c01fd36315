//! Random text that matches a regular expression, for names that policies make up. Repetitions without an upper bound
//! end at 4096, as in goregen, which Kyverno calls.

use super::{Failure, Invocation, Outcome};
use crate::go::regex::translate;
use crate::jmespath::item::Item;
use regex_syntax::hir::{Class, Hir, HirKind};

const MAX_REPEAT: u32 = 4096;

pub(super) fn random<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let pattern = call.text(0)?;
    if pattern.is_empty() {
        return Err(call.fail("no pattern provided"));
    }
    call.evaluator.charge(1000 + pattern.len() as u64)?;
    let translated = translate(pattern).map_err(|reason| call.fail(reason))?;
    let hir = regex_syntax::ParserBuilder::new()
        .utf8(false)
        .nest_limit(250)
        .build()
        .parse(&translated)
        .map_err(|error| call.fail(error))?;
    let mut text = Vec::new();
    generate(call, &hir, &mut text)?;
    Ok(Item::owned(String::from_utf8_lossy(&text)))
}

/// A random number below `limit`, which must not be zero.
fn below<'a>(call: &Invocation<'_, 'a>, limit: u64) -> Result<u64, Failure<'a>> {
    let bits = call.evaluator.context.environment.random();
    let bits = bits.ok_or_else(|| call.fail("there is no source of randomness here"))?;
    // The top bits of the product are even to within limit / 2^64.
    Ok(((u128::from(bits) * u128::from(limit)) >> 64) as u64)
}

fn generate<'a>(call: &Invocation<'_, 'a>, hir: &Hir, text: &mut Vec<u8>) -> Result<(), Failure<'a>> {
    call.evaluator.charge(1)?;
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.extend_from_slice(&literal.0),
        HirKind::Class(class) => character(call, class, text)?,
        HirKind::Capture(capture) => generate(call, &capture.sub, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| generate(call, part, text))?,
        HirKind::Alternation(parts) => {
            let chosen = below(call, parts.len() as u64)?;
            generate(call, &parts[chosen as usize], text)?;
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(MAX_REPEAT).max(repetition.min);
            let count = u64::from(repetition.min) + below(call, u64::from(most - repetition.min) + 1)?;
            for _ in 0..count {
                generate(call, &repetition.sub, text)?;
            }
        }
    }
    Ok(())
}

/// One character of a class; printable ASCII where the class has any, so that `.` makes readable text.
fn character<'a>(call: &Invocation<'_, 'a>, class: &Class, text: &mut Vec<u8>) -> Result<(), Failure<'a>> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => class.iter().map(|r| (u32::from(r.start()), u32::from(r.end()))).collect(),
        Class::Bytes(class) => class.iter().map(|r| (u32::from(r.start()), u32::from(r.end()))).collect(),
    };
    let printable: Vec<(u32, u32)> = ranges
        .iter()
        .map(|&(start, end)| (start.max(0x20), end.min(0x7e)))
        .filter(|(start, end)| start <= end)
        .collect();
    let ranges = if printable.is_empty() { ranges } else { printable };
    let total: u64 = ranges.iter().map(|(start, end)| u64::from(end - start) + 1).sum();
    if total == 0 {
        return Err(call.fail("the pattern matches nothing"));
    }
    let mut chosen = below(call, total)?;
    for (start, end) in ranges {
        let size = u64::from(end - start) + 1;
        if chosen < size {
            let c = char::from_u32(start + chosen as u32).unwrap_or(char::REPLACEMENT_CHARACTER);
            text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            break;
        }
        chosen -= size;
    }
    Ok(())
}
