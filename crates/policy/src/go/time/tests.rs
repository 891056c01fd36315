use super::*;
use proptest::prelude::*;

#[test]
fn parses_layouts_as_go() {
    let cases = [
        (RFC3339, "2021-01-02T15:04:05-07:00", "2021-01-02T15:04:05-07:00"),
        (RFC3339, "2021-01-02T15:04:05Z", "2021-01-02T15:04:05Z"),
        (RFC3339, "2021-01-02T5:04:05.123456789123Z", "2021-01-02T05:04:05Z"),
        (RFC3339, "0000-01-01T00:00:00+24:00", "0000-01-01T00:00:00+24:00"),
        ("Mon Jan 2 15:04:05 MST 2006", "Tue May  3 9:01:02 UTC 2022", "2022-05-03T09:01:02Z"),
        ("Mon, 02 Jan 2006 15:04:05 MST", "Wed, 04 May 2022 09:01:02 CEST", "2022-05-04T09:01:02Z"),
        ("Mon, 02 Jan 2006 15:04:05 MST", "Wed, 04 May 2022 23:01:02 GMT+3", "2022-05-05T02:01:02+03:00"),
        ("Monday, 02-Jan-06 15:04:05 -0700", "Sunday, 01-feb-69 00:00:00 -0130", "1969-02-01T00:00:00-01:30"),
        ("Jan _2 15:04:05.000", "Feb  9 01:02:03.456", "0000-02-09T01:02:03Z"),
        ("3:04PM", "12:30AM", "0000-01-01T00:30:00Z"),
        ("3:04pm", "1:30pm", "0000-01-01T13:30:00Z"),
        ("2006-002", "2024-060", "2024-02-29T00:00:00Z"),
        ("2006 __2", "2023  60", "2023-03-01T00:00:00Z"),
        ("2006-01-02T15:04:05.999Z07", "2021-06-30T01:02:03+02", "2021-06-30T01:02:03+02:00"),
        ("January 2, 2006", "march 15, 2020", "2020-03-15T00:00:00Z"),
        ("Z07:00:00", "-01:02:03", "0000-01-01T00:00:00-01:02"),
        ("", "", "0000-01-01T00:00:00Z"),
    ];
    for (layout, text, expected) in cases {
        let moment = Moment::parse(layout, text).unwrap_or_else(|error| panic!("{layout} {text}: {error}"));
        assert_eq!(moment.to_string(), expected, "{layout} {text}");
    }
}

#[test]
fn says_what_does_not_fit() {
    let cases = [
        ("2021-02-30T00:00:00Z", "parsing time \"2021-02-30T00:00:00Z\": day out of range"),
        ("2021-13-01T00:00:00Z", "parsing time \"2021-13-01T00:00:00Z\": month out of range"),
        ("2021-01-01T24:00:00Z", "parsing time \"2021-01-01T24:00:00Z\": hour out of range"),
        ("2021-01-01T00:00:00Zé", "parsing time \"2021-01-01T00:00:00Zé\": extra text: \"é\""),
        (
            "2021-01-01 00:00:00",
            "parsing time \"2021-01-01 00:00:00\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \" 00:00:00\" as \"T\"",
        ),
        (
            "2021-01-01T00:00:00",
            "parsing time \"2021-01-01T00:00:00\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Moment::parse(RFC3339, text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn computes() {
    let moment = |text| Moment::parse(RFC3339, text).unwrap();
    let duration = |text| Duration::parse(text).unwrap();
    let start = moment("2024-02-28T23:30:00+01:00");
    assert_eq!(start.plus(duration("24h30m")).to_string(), "2024-03-01T00:00:00+01:00");
    assert_eq!(start.utc().to_string(), "2024-02-28T22:30:00Z");
    assert_eq!(moment("2024-03-01T00:00:00Z").since(start).to_string(), "25h30m0s");
    assert_eq!(
        moment("9999-01-01T00:00:00Z").since(moment("0001-01-01T00:00:00Z")),
        Duration::from_nanoseconds(i64::MAX)
    );
    assert_eq!(moment("2021-01-02T15:04:05Z").truncate(duration("1h")).to_string(), "2021-01-02T15:00:00Z");
    // Weeks count from Monday, 1 January of the year 1.
    assert_eq!(moment("2021-01-02T15:04:05Z").truncate(duration("168h")).to_string(), "2020-12-28T00:00:00Z");
    assert_eq!(start.civil().weekday, 3);
    assert!(start.is_before(moment("2024-02-28T22:30:00.000000001Z")));
}

proptest! {
    #[test]
    fn dates_round_trip(days in -4_000_000i64..4_000_000) {
        let (year, month, day) = date_of(days);
        prop_assert_eq!(days_of(year, month, day), days);
        prop_assert!(day <= days_in(month, year));
    }

    #[test]
    fn what_it_prints_it_reads(seconds in -62_135_596_800i64..253_402_300_800, minutes in -720i32..720) {
        let moment = Moment { seconds, nanoseconds: 0, offset: minutes * 60 };
        if (0..=9999).contains(&moment.civil().year) {
            prop_assert_eq!(Moment::parse(RFC3339, &moment.to_string()).unwrap(), moment);
        }
    }

    #[test]
    fn never_panics(
        layout in "([0-9_.,:TZ -]|Jan|January|Mon|MST|PM|2006|Z07:00|-0700|002|\\PC){0,8}",
        text in "([0-9.,:TZ +-]|[A-Z]{3}|GMT|\\PC){0,16}",
        seconds: i64,
        nanoseconds: i64,
    ) {
        let _ = Moment::parse(&layout, &text);
        let moment = Moment { seconds, nanoseconds: 999_999_999, offset: 3600 };
        let duration = Duration::from_nanoseconds(nanoseconds);
        let _ = (moment.plus(duration).to_string(), moment.truncate(duration).since(moment), moment.civil());
    }
}
