//! The table itself, sorted by name. Kyverno's `sum` hides the standard one.

use super::Type::{Any, Array, Boolean, Expression, Number, NumberArray, Object, String, StringArray};
use super::{Arity, Function, Handler, Type};
use super::{arithmetic, encoding, names, objects, patterns, random, standard, text, time};

const fn entry(
    name: &'static str,
    arguments: &'static [&'static [Type]],
    returns: Type,
    handler: Handler,
    doc: &'static str,
) -> Function {
    Function { name, arguments, arity: Arity::Fixed, returns, doc, handler }
}

const fn variadic(function: Function) -> Function {
    Function { arity: Arity::AtLeast, ..function }
}

const fn unchecked(function: Function) -> Function {
    Function { arity: Arity::Unchecked, ..function }
}

const TEXT_OR_NUMBER: &[Type] = &[String, Number];

#[rustfmt::skip]
pub(super) static STANDARD: [Function; 26] = [
    entry("abs", &[&[Number]], Number, standard::abs, "the absolute value"),
    entry("avg", &[&[NumberArray]], Number, standard::avg, "the mean of a list of numbers"),
    entry("ceil", &[&[Number]], Number, standard::ceil, "the next whole number upwards"),
    entry("contains", &[&[Array, String], &[Any]], Boolean, standard::contains, "whether a list has an element, or a string a part"),
    entry("ends_with", &[&[String], &[String]], Boolean, standard::ends_with, "whether the first string ends with the second"),
    entry("floor", &[&[Number]], Number, standard::floor, "the next whole number downwards"),
    entry("join", &[&[String], &[StringArray]], String, standard::join, "the strings of a list, with the first argument between them"),
    entry("keys", &[&[Object]], Array, standard::keys, "the keys of an object"),
    entry("length", &[&[String, Array, Object]], Number, standard::length, "the number of characters, elements or members"),
    entry("map", &[&[Expression], &[Array]], Array, standard::map, "the expression's result for each element"),
    entry("max", &[&[NumberArray, StringArray]], Any, standard::max, "the largest element"),
    entry("max_by", &[&[Array], &[Expression]], Any, standard::max_by, "the element for which the expression is largest"),
    variadic(entry("merge", &[&[Object]], Object, standard::merge, "one object with the members of all; later ones win")),
    entry("min", &[&[NumberArray, StringArray]], Any, standard::min, "the smallest element"),
    entry("min_by", &[&[Array], &[Expression]], Any, standard::min_by, "the element for which the expression is smallest"),
    variadic(entry("not_null", &[&[Any]], Any, standard::not_null, "the first argument that is not null")),
    entry("reverse", &[&[Array, String]], Any, standard::reverse, "the elements or characters in reverse order"),
    entry("sort", &[&[StringArray, NumberArray]], Array, standard::sort, "the elements in ascending order"),
    entry("sort_by", &[&[Array], &[Expression]], Array, standard::sort_by, "the elements in ascending order of the expression"),
    entry("starts_with", &[&[String], &[String]], Boolean, standard::starts_with, "whether the first string starts with the second"),
    entry("sum", &[&[NumberArray]], Number, standard::sum, "the sum of a list of numbers"),
    entry("to_array", &[&[Any]], Array, standard::to_array, "a list as it is, anything else as the only element of one"),
    entry("to_number", &[&[Any]], Number, standard::to_number, "the number that a string stands for, or null"),
    entry("to_string", &[&[Any]], String, standard::to_string, "a string as it is, anything else as JSON"),
    entry("type", &[&[Any]], String, standard::type_of, "the name of the argument's type"),
    entry("values", &[&[Object]], Array, standard::values, "the values of an object"),
];

#[rustfmt::skip]
pub(super) static KYVERNO: [Function; 51] = [
    entry("add", &[&[Any], &[Any]], Any, arithmetic::add, "the sum of two numbers, quantities or durations"),
    entry("base64_decode", &[&[String]], String, encoding::base64_decode, "the text that a base64 string stands for"),
    entry("base64_encode", &[&[String]], String, encoding::base64_encode, "a string in base64"),
    entry("compare", &[&[String], &[String]], Number, text::compare, "-1, 0 or 1: the order of two strings by their bytes"),
    entry("divide", &[&[Any], &[Any]], Any, arithmetic::divide, "the quotient of numbers, quantities or durations; the divisor must not be zero"),
    entry("equal_fold", &[&[String], &[String]], Boolean, text::equal_fold, "whether two strings are equal but for upper and lower case"),
    entry("image_normalize", &[&[String]], String, names::image_normalize, "an image name with its registry and tag written out"),
    entry("is_external_url", &[&[String]], Boolean, names::is_external_url, "whether a URL's host is neither a loopback nor a private address"),
    entry("items", &[&[Object, Array], &[String], &[String]], Array, objects::items, "an object or list as list of {key, value} under the two given names"),
    entry("label_match", &[&[Object], &[Object]], Boolean, objects::label_match, "whether the second object has all members of the first"),
    entry("lookup", &[&[Object, Array], TEXT_OR_NUMBER], Any, objects::lookup, "the member or element with a key or index, or null"),
    entry("md5", &[&[String]], String, encoding::md5, "the MD5 digest of a string, in hexadecimal"),
    entry("modulo", &[&[Any], &[Any]], Any, arithmetic::modulo, "the remainder of whole numbers, quantities or durations; the divisor must not be zero"),
    entry("multiply", &[&[Any], &[Any]], Any, arithmetic::multiply, "the product of two numbers, or of a number and a quantity or duration"),
    entry("object_from_lists", &[&[Array], &[Array]], Object, objects::object_from_lists, "an object with the keys of the first list and the values of the second"),
    entry("parse_json", &[&[String]], Any, objects::parse_json, "the value that a JSON text stands for"),
    entry("parse_yaml", &[&[String]], Any, objects::parse_yaml, "the value that a YAML text stands for"),
    entry("path_canonicalize", &[&[String]], String, names::path_canonicalize, "a file path without empty, '.' and '..' parts"),
    entry("pattern_match", &[&[String], TEXT_OR_NUMBER], Boolean, patterns::pattern_match, "whether a wildcard (* any characters, ? one) matches the whole of a string or number"),
    entry("random", &[&[String]], String, random::random, "a random string that matches a regular expression"),
    entry("regex_match", &[&[String], TEXT_OR_NUMBER], Boolean, patterns::regex_match, "whether a regular expression matches a part of a string or number"),
    entry("regex_replace_all", &[&[String], TEXT_OR_NUMBER, TEXT_OR_NUMBER], String, patterns::regex_replace_all, "the second argument with all matches of the first replaced by the third; $1 stands for a group"),
    entry("regex_replace_all_literal", &[&[String], TEXT_OR_NUMBER, TEXT_OR_NUMBER], String, patterns::regex_replace_all_literal, "like regex_replace_all, with $ in the replacement as it is"),
    entry("replace", &[&[String], &[String], &[String], &[Number]], String, text::replace, "the first string with so many occurrences of the second replaced by the third; -1 for all"),
    entry("replace_all", &[&[String], &[String], &[String]], String, text::replace_all, "the first string with all occurrences of the second replaced by the third"),
    entry("round", &[&[Number], &[Number]], Number, arithmetic::round, "a number rounded to so many decimal places"),
    entry("semver_compare", &[&[String], &[String]], Boolean, names::semver_compare, "whether a semantic version lies in a range such as '>=1.2.0 <2.0.0 || 3.x'"),
    entry("sha1", &[&[String]], String, encoding::sha1, "the SHA-1 digest of a string, in hexadecimal"),
    entry("sha256", &[&[String]], String, encoding::sha256, "the SHA-256 digest of a string, in hexadecimal"),
    entry("split", &[&[String], &[String]], StringArray, text::split, "the parts of the first string between occurrences of the second"),
    entry("subtract", &[&[Any], &[Any]], Any, arithmetic::subtract, "the difference of two numbers, quantities or durations"),
    entry("sum", &[&[Array]], Any, arithmetic::sum, "the sum of a list of numbers, quantities or durations"),
    entry("time_add", &[&[String], &[String]], String, time::add, "a time plus a duration"),
    entry("time_after", &[&[String], &[String]], Boolean, time::after, "whether the first time is after the second"),
    entry("time_before", &[&[String], &[String]], Boolean, time::before, "whether the first time is before the second"),
    entry("time_between", &[&[String], &[String], &[String]], Boolean, time::between, "whether the first time is after the second and before the third"),
    entry("time_diff", &[&[String], &[String]], String, time::diff, "the duration from the first time to the second"),
    unchecked(entry("time_now", &[], String, time::now, "the present time (RFC 3339)")),
    unchecked(entry("time_now_utc", &[], String, time::now_utc, "the present time in UTC (RFC 3339)")),
    entry("time_parse", &[&[String], &[String]], String, time::parse, "the time that the second argument says in the layout of the first; an integer as layout means seconds since 1970"),
    entry("time_since", &[&[String], &[String], &[String]], String, time::since, "the duration between two times in a layout; an empty last argument stands for now"),
    entry("time_to_cron", &[&[String]], String, time::to_cron, "a time as cron expression"),
    entry("time_truncate", &[&[String], &[String]], String, time::truncate, "a time rounded down to a multiple of a duration"),
    entry("time_utc", &[&[String]], String, time::utc, "a time in UTC"),
    entry("to_boolean", &[&[String]], Boolean, text::to_boolean, "the boolean that 'true' or 'false' stands for, in any case"),
    entry("to_lower", &[&[String]], String, text::to_lower, "a string in lower case"),
    entry("to_upper", &[&[String]], String, text::to_upper, "a string in upper case"),
    entry("trim", &[&[String], &[String]], String, text::trim, "the first string without characters of the second at its ends"),
    entry("trim_prefix", &[&[String], &[String]], String, text::trim_prefix, "the first string without the second at its start"),
    entry("truncate", &[&[String], &[Number]], String, text::truncate, "the first characters of a string, so many"),
    entry("x509_decode", &[&[String]], Object, encoding::x509_decode, "the fields of a PEM certificate or certificate request with an RSA key"),
];
