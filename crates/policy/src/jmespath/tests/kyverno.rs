//! Kyverno's dialect: unknown keys, tolerance, functions. Every row was seen in Kyverno 1.19.1 or says where we differ.

use super::*;

/// Rows of (expression, result); an error's text starts with `!`.
fn check(data: &Value, rows: &[(&str, Value)]) {
    for (expression, expected) in rows {
        let found = outcome(Dialect::Kyverno, expression, data);
        assert_eq!(found, *expected, "{expression}");
    }
}

#[test]
fn unknown_keys() {
    let data = json!({"a": {"b": 1}, "l": [{"x": 1}, {"y": 2}], "n": null, "s": "x"});
    let missing = |key: &str| json!(format!("!Unknown key \"{key}\" in path"));
    check(
        &data,
        &[
            ("z", missing("z")),
            ("a.z", missing("z")),
            ("z.a", missing("z")),
            ("a.z.y[0]", missing("z")),
            ("l[0].y", missing("y")),
            ("a && z", missing("z")),
            ("n.z", json!(null)),
            ("s.z", json!(null)),
            ("l[5].z", json!(null)),
            ("z && a", json!(null)),
            ("z || 'default'", json!("default")),
            ("z || y", json!(null)),
            ("!z", json!(true)),
            ("z == `null`", json!(true)),
            ("z < `1`", json!(null)),
            ("z | @", json!(null)),
            ("a | z", json!(null)),
            ("l[*].x", json!([1])),
            ("l[?x].x", json!([1])),
            ("z[]", json!(null)),
            ("z[*]", json!(null)),
            ("z.*", json!(null)),
            ("[z, a.b]", json!([null, 1])),
            ("{k: z}", json!({"k": null})),
            ("not_null(z, a.b)", json!(1)),
            ("map(&x, l)", json!([1, null])),
            ("lookup(a, 'z')", json!(null)),
        ],
    );
    assert_eq!(outcome(Dialect::Standard, "a.z", &data), Value::Null);
    let error =
        Expression::parse("z", Dialect::Kyverno).unwrap().search(&data, &Context::default()).unwrap_err();
    assert!(error.is_not_found());
}

#[test]
fn habits_of_the_fork() {
    let data = json!({"foo": {"a": {"bar": {"baz": 1}}, "b": {"bar": {"baz": 2}}}, "o": {"k": "v"}});
    check(
        &data,
        &[
            ("foo.*.bar", json!([{"baz": 1}, {"baz": 2}])),
            ("foo.*.bar.baz", json!(null)),
            ("o.*.to_string(@)", json!(["null", "v"])),
            ("not_null(`null` foo.a.bar.baz,)", json!(1)),
            ("{a: `1` b: `2`}", json!({"a": 1, "b": 2})),
            ("length(`1`)[?a]", json!(null)),
            ("sort_by(`[1]`, &length(@))", json!([1])),
            ("to_string(o)", json!("{\"k\":\"v\"}")),
            ("to_string(`{\"b\": \"<\", \"a\": 1.0}`)", json!("{\"a\":1,\"b\":\"\\u003c\"}")),
            ("sum(`[]`)", json!("!JMESPath function 'sum': at least one element in the array is required")),
        ],
    );
    assert_eq!(outcome(Dialect::Standard, "foo.*.bar.baz", &data), json!([1, 2]));
    for text in ["not_null(a b)", "not_null(a,)", "{a: b c: d}"] {
        assert!(Expression::parse(text, Dialect::Standard).is_err(), "{text}");
    }
    assert!(Expression::parse(r"'a\\'", Dialect::Kyverno).is_err());
    assert_eq!(outcome(Dialect::Standard, r"'a\\'", &data), json!(r"a\\"));
}

#[test]
fn text_functions() {
    check(
        &json!({}),
        &[
            ("compare('a', 'b')", json!(-1)),
            ("compare('b', 'a')", json!(1)),
            ("compare('a', 'a')", json!(0)),
            ("equal_fold('Go', 'GO')", json!(true)),
            ("replace('Hello Hello', 'Hello', 'World', `1`)", json!("World Hello")),
            ("replace('aaa', 'a', 'b', `-1`)", json!("bbb")),
            ("replace('aaa', 'a', 'b', `0`)", json!("aaa")),
            ("replace('ab', '', '-', `2`)", json!("-a-b")),
            ("replace_all('aé', '', '-')", json!("-a-é-")),
            ("to_upper('straße')", json!("STRAßE")),
            ("to_lower('ABC')", json!("abc")),
            ("trim('¡¡¡Hello, Gophers!!!', '!¡')", json!("Hello, Gophers")),
            ("trim_prefix('¡¡Hello', '¡')", json!("¡Hello")),
            ("split('a,b', ',')", json!(["a", "b"])),
            ("split('ab', '')", json!(["a", "b"])),
            ("truncate('héllo', `2`)", json!("hé")),
            ("truncate('abc', `-1`)", json!("")),
            ("to_boolean('faLSE')", json!(false)),
            (
                "to_boolean('x')",
                json!(
                    "!JMESPath function 'to_boolean': lowercase argument must be 'true' or 'false' (provided: 'x')"
                ),
            ),
            ("to_upper(`1`)", json!("!argument 1 of to_upper() is of type number, accepted: string")),
            ("to_upper()", json!("!to_upper() accepts 1 argument, found 0")),
            ("no_such(@)", json!("!unknown function: no_such")),
        ],
    );
}

#[test]
fn pattern_functions() {
    check(
        &json!({"p": "^[a-z]+$"}),
        &[
            ("regex_match('^v[0-9]+$', 'v12')", json!(true)),
            ("regex_match(p, 'abc')", json!(true)),
            ("regex_match('12.*', `123456789.123`)", json!(true)),
            (
                "regex_match('[', 'x')",
                json!("!JMESPath function 'regex_match': error parsing regexp: missing closing ]: `[`"),
            ),
            ("regex_replace_all('([Hh]el)lo', 'Hello hello', '${1}p')", json!("Help help")),
            ("regex_replace_all('\\d', 'a1', `2`)", json!("a2")),
            ("regex_replace_all_literal('[ae]', 'apple', '$0')", json!("$0ppl$0")),
            ("pattern_match('prefix-*', 'prefix-foo')", json!(true)),
            ("pattern_match('12?', `123`)", json!(true)),
            ("pattern_match('a?', 'a')", json!(false)),
            ("label_match(`{\"a\": \"1\"}`, `{\"a\": \"1\", \"b\": \"2\"}`)", json!(true)),
            ("label_match(`{\"a\": \"1\"}`, `{\"a\": \"2\"}`)", json!(false)),
            ("random('abc')", json!("abc")),
            ("random('')", json!("!JMESPath function 'random': no pattern provided")),
        ],
    );
    let made = outcome(Dialect::Kyverno, "random('^[0-9a-f]{8}-(x|y)+.?$')", &Value::Null);
    assert_eq!(outcome(Dialect::Kyverno, "regex_match('^[0-9a-f]{8}-(x|y)+.?$', @)", &made), json!(true));
}

#[test]
fn arithmetic_functions() {
    let mismatch = |name: &str| json!(format!("!JMESPath function '{name}': Types mismatch"));
    check(
        &json!({}),
        &[
            ("add(`1`, `2.5`)", json!(3.5)),
            ("add('100Mi', '1Gi')", json!("1124Mi")),
            ("add('1h', '30s')", json!("1h0m30s")),
            ("add('1h', `1`)", mismatch("add")),
            ("add('1m', '1s')", mismatch("add")),
            ("add('x', `1`)", json!("!JMESPath function 'add': invalid operand")),
            ("sum(['1Gi', '2Mi'])", json!("1026Mi")),
            ("sum(`[1, 2]`)", json!(3)),
            ("sum(['x'])", json!("x")),
            ("subtract('1h', '90m')", mismatch("subtract")),
            ("subtract('1h', '30s')", json!("59m30s")),
            ("subtract('1', '1500m')", json!("-500m")),
            ("multiply('1Ki', `1.5`)", json!("1536")),
            ("multiply(`2`, '1h')", json!("2h0m0s")),
            ("multiply('1Ki', '1Ki')", mismatch("multiply")),
            ("divide(`7`, `2`)", json!(3.5)),
            ("divide('1Gi', '512Mi')", json!(2)),
            ("divide('10.00', `3`)", json!("3330m")),
            ("divide('1h', '30s')", json!(120)),
            ("divide('1h', `4`)", json!("15m0s")),
            ("divide(`1`, '1h')", mismatch("divide")),
            ("divide(`1`, `0`)", json!("!JMESPath function 'divide': Zero divisor passed")),
            ("divide('1', `0`)", json!("!JMESPath function 'divide': Zero divisor passed")),
            ("modulo(`-7`, `3`)", json!(-1)),
            ("modulo('10Mi', '3Mi')", json!("1Mi")),
            ("modulo('1h', '7s')", json!("2s")),
            (
                "modulo(`1.5`, `1`)",
                json!("!JMESPath function 'modulo': Non-integer argument(s) passed for modulo"),
            ),
            ("round(`2.345678`, `2`)", json!(2.35)),
            ("round(`-2.5`, `0`)", json!(-3)),
        ],
    );
}

#[test]
fn time_functions() {
    check(
        &json!({}),
        &[
            ("time_now()", json!("2025-06-01T12:30:00+02:00")),
            ("time_now_utc()", json!("2025-06-01T10:30:00Z")),
            ("time_now('ignored')", json!("2025-06-01T12:30:00+02:00")),
            ("time_since('', '2021-01-02T15:04:05-07:00', '2021-01-10T03:14:05-07:00')", json!("180h10m0s")),
            ("time_since('', '2025-06-01T10:00:00Z', '')", json!("30m0s")),
            (
                "time_since('Mon Jan 02 2006 15:04:05 -0700', 'Mon Jan 02 2021 15:04:05 -0700', 'Mon Jan 10 2021 03:14:16 -0700')",
                json!("180h10m11s"),
            ),
            ("time_to_cron('2022-04-11T03:14:05-07:00')", json!("14 3 11 4 1")),
            ("time_add('2021-01-02T15:04:05-07:00', '3h')", json!("2021-01-02T18:04:05-07:00")),
            ("time_parse('1516305000', '1700000000')", json!("2023-11-14T22:13:20Z")),
            (
                "time_parse('Mon, 02 Jan 2006 15:04:05 MST', 'Mon, 03 Jan 2022 15:04:05 GMT')",
                json!("2022-01-03T15:04:05Z"),
            ),
            ("time_utc('2021-01-02T15:04:05-07:00')", json!("2021-01-02T22:04:05Z")),
            ("time_diff('2021-01-02T15:04:05-07:00', '2021-01-02T15:04:05Z')", json!("-7h0m0s")),
            ("time_before('2021-01-02T15:04:05-07:00', '2021-01-02T15:04:05Z')", json!(false)),
            ("time_after('2021-01-02T15:04:05-07:00', '2021-01-02T15:04:05Z')", json!(true)),
            (
                "time_between('2021-01-02T00:00:00Z', '2021-01-01T00:00:00Z', '2021-01-03T00:00:00Z')",
                json!(true),
            ),
            ("time_truncate('2021-01-02T17:04:05-07:00', '2h')", json!("2021-01-02T17:00:00-07:00")),
            (
                "time_add('x', '3h')",
                json!(
                    "!JMESPath function 'time_add': parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\""
                ),
            ),
        ],
    );
    let clockless = Expression::parse("time_now()", Dialect::Kyverno).unwrap();
    assert!(clockless.search(&Value::Null, &Context::default()).is_err());
}

#[test]
fn object_functions() {
    check(
        &json!({"o": {"k2": 2, "k1": "v"}}),
        &[
            ("items(o, 'key', 'value')", json!([{"key": "k1", "value": "v"}, {"key": "k2", "value": 2}])),
            ("items(`[\"a\"]`, 'i', 'v')", json!([{"i": 0, "v": "a"}])),
            ("object_from_lists(['a', 'b'], `[1]`)", json!({"a": 1, "b": null})),
            ("object_from_lists(`[1.5]`, `[1]`)", json!({"1.5": 1})),
            ("lookup(`[1, 2]`, `1`)", json!(2)),
            ("lookup(`[1, 2]`, `-1`)", json!(null)),
            ("lookup(`[1]`, 'a')", json!("!JMESPath function 'lookup': argument #2 is not of type Number")),
            ("parse_json('{\"a\": [1, 2.5]}').a[1]", json!(2.5)),
            ("parse_yaml('a: 1').yaml", json!("a: 1")),
        ],
    );
}

#[test]
fn names_and_encodings() {
    check(
        &json!({}),
        &[
            ("path_canonicalize('/var//lib/./containerd/../x')", json!("/var/lib/x")),
            ("image_normalize('nginx')", json!("docker.io/nginx:latest")),
            ("image_normalize('ghcr.io/a/b:v1')", json!("ghcr.io/a/b:v1")),
            ("semver_compare('4.1.3', '>=4.1.x')", json!(true)),
            ("semver_compare('not a version', '<1.0.0')", json!(true)),
            ("is_external_url('https://127.0.0.1/x')", json!(false)),
            ("is_external_url('https://8.8.8.8/x')", json!(true)),
            ("is_external_url('https://internal.example/x')", json!(false)),
            ("is_external_url('https://example.com')", json!(true)),
            (
                "is_external_url('https://nowhere')",
                json!("!JMESPath function 'is_external_url': lookup nowhere: no such host"),
            ),
            ("base64_encode('Hello, world!')", json!("SGVsbG8sIHdvcmxkIQ==")),
            ("base64_decode('SGVsbG8sIHdvcmxkIQ==')", json!("Hello, world!")),
            (
                "base64_decode('?')",
                json!("!JMESPath function 'base64_decode': illegal base64 data at input byte 0"),
            ),
            ("sha256('abc')", json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
            ("sha1('abc')", json!("a9993e364706816aba3e25717850c26c9cd0d89d")),
            ("md5('abc')", json!("900150983cd24fb0d6963f7d28e17f72")),
        ],
    );
}
