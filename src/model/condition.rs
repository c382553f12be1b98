//! Conditions of policies: when, and from where.
//!
//! Always holds: what is not understood is refused when it is written, never passed over; a condition
//! is read once, and judged for each request by what is known of that ([`Circumstances`]); where that
//! is not known which it asks for, it neither holds nor fails, and so does its opposite. Never does:
//! reading a clock, knowing places: a zone is UTC or so many hours and minutes from it.

use core::net::IpAddr;

use super::{Invalid, Network, Timestamp};

/// The most conditions within each other.
pub const DEPTH_MAX: usize = 8;
/// The most that one policy compares with what is known of a request.
pub const COMPARISONS_MAX: usize = 128;
/// The longest key or value of a condition, in bytes.
const TEXT_MAX: usize = 8 << 10;
/// The furthest from UTC that a zone is, in seconds.
const OFFSET_MAX: i64 = 18 * 3_600;
const DAY: i64 = 86_400;

/// What is known of a request beside what it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    now: Option<Timestamp>,
    address: Option<IpAddr>,
}

impl Circumstances {
    /// Of a request that counts at `now` and comes from `address`, where that is known.
    #[must_use]
    pub const fn new(now: Timestamp, address: Option<IpAddr>) -> Self {
        Self { now: Some(now), address }
    }

    /// When it counts.
    #[must_use]
    pub const fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// Where it comes from.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// When a policy says something: always, but for what is given here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct When {
    /// Under this condition.
    pub condition: Option<Condition>,
    /// Before this moment.
    pub expires_at: Option<Timestamp>,
}

impl When {
    /// Whether that is always so.
    #[must_use]
    pub const fn is_always(&self) -> bool {
        self.condition.is_none() && self.expires_at.is_none()
    }

    /// Whether it is so under these circumstances; `None` where that is not known.
    #[must_use]
    pub fn is_now(&self, circumstances: &Circumstances) -> Option<bool> {
        let is_before = self.expires_at.map(|end| Some(circumstances.now? < end));
        let holds = self.condition.as_ref().map(|condition| condition.test.holds(circumstances));
        all(is_before.into_iter().chain(holds))
    }

    /// How often it compares something.
    #[must_use]
    pub fn comparisons(&self) -> usize {
        let of_condition = self.condition.as_ref().map_or(0, |condition| condition.comparisons);
        of_condition + usize::from(self.expires_at.is_some())
    }
}

/// How the parts of a condition are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Each of its conditions holds.
    And,
    /// One of its conditions holds.
    Or,
    /// Its one condition does not hold.
    Not,
    /// Each of its values is as it says.
    Match,
}

impl Operator {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::And, Self::Or, Self::Not, Self::Match];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Not => "NOT",
            Self::Match => "MATCH",
        }
    }
}

/// A condition, as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expression {
    /// How its parts are put together.
    pub operator: Operator,
    /// What is asked for, by key: of `MATCH` alone.
    pub values: Vec<(String, String)>,
    /// The conditions of any other.
    pub conditions: Vec<Expression>,
}

/// A condition that was understood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    written: Expression,
    test: Test,
    comparisons: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    /// The address is in one of these.
    Address(Vec<Network>),
    /// A number that the time gives, so many seconds east of UTC.
    Time(Part, i64, Comparison),
}

/// Which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// The day, counted from 1970-01-01.
    Date,
    /// 0 to 23.
    Hour,
    /// From Monday, which is 0.
    WeekDay,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Comparison {
    OneOf(Vec<i64>),
    Below(i64),
    AtMost(i64),
    AtLeast(i64),
    Above(i64),
}

impl Condition {
    /// Understands what was written.
    ///
    /// # Errors
    /// `Invalid` says what is not understood.
    pub fn new(written: Expression) -> Result<Self, Invalid> {
        const TOO_MANY: Invalid = Invalid(
            "the conditions of a policy compare at most 128 times; each entry of a list counts",
        );
        let test = understand(&written, DEPTH_MAX)?;
        let comparisons = test.comparisons();
        if comparisons > COMPARISONS_MAX {
            return Err(TOO_MANY);
        }
        Ok(Self { written, test, comparisons })
    }

    /// What was written.
    #[must_use]
    pub const fn written(&self) -> &Expression {
        &self.written
    }
}

impl Test {
    fn comparisons(&self) -> usize {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().map(Self::comparisons).sum(),
            Self::Not(test) => test.comparisons(),
            Self::Address(networks) => networks.len(),
            Self::Time(_, _, Comparison::OneOf(numbers)) => numbers.len(),
            Self::Time(..) => 1,
        }
    }

    fn holds(&self, circumstances: &Circumstances) -> Option<bool> {
        match self {
            Self::All(tests) => all(tests.iter().map(|test| test.holds(circumstances))),
            // One holds, unless all do not.
            Self::Any(tests) => {
                all(tests.iter().map(|test| not(test.holds(circumstances)))).map(|none| !none)
            }
            Self::Not(test) => not(test.holds(circumstances)),
            Self::Address(networks) => {
                let address = circumstances.address?;
                Some(networks.iter().any(|network| network.contains(address)))
            }
            Self::Time(part, east, is) => {
                Some(is.holds(part.of(circumstances.now?.unix_seconds().saturating_add(*east))))
            }
        }
    }
}

/// Whether each holds: one that fails is enough to say that they do not, whatever is not known.
fn all(each: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for one in each {
        match one {
            Some(true) => {}
            Some(false) => return Some(false),
            None => all = None,
        }
    }
    all
}

fn not(holds: Option<bool>) -> Option<bool> {
    holds.map(|holds| !holds)
}

impl Part {
    /// At so many seconds since 1970-01-01T00:00:00 where the clock is.
    const fn of(self, seconds: i64) -> i64 {
        let day = seconds.div_euclid(DAY);
        match self {
            Self::Date => day,
            Self::Hour => seconds.rem_euclid(DAY) / 3_600,
            // The first of 1970 was a Thursday.
            Self::WeekDay => (day + 3).rem_euclid(7),
        }
    }
}

impl Comparison {
    fn holds(&self, number: i64) -> bool {
        match self {
            Self::OneOf(numbers) => numbers.contains(&number),
            Self::Below(bound) => number < *bound,
            Self::AtMost(bound) => number <= *bound,
            Self::AtLeast(bound) => number >= *bound,
            Self::Above(bound) => number > *bound,
        }
    }
}

/// What is written, with at most so many more within each other.
fn understand(written: &Expression, depth: usize) -> Result<Test, Invalid> {
    const TOO_DEEP: Invalid = Invalid("at most 8 conditions are within each other");
    const SHAPE: Invalid = Invalid(
        "a condition of the operator MATCH has values and no conditions; one of AND or OR has conditions and no values, \
         and one of NOT has one condition",
    );
    let Expression { operator, values, conditions } = written;
    let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
    let is_whole = match operator {
        Operator::Match => !values.is_empty() && conditions.is_empty(),
        Operator::And | Operator::Or => values.is_empty() && !conditions.is_empty(),
        Operator::Not => values.is_empty() && conditions.len() == 1,
    };
    if !is_whole {
        return Err(SHAPE);
    }
    if *operator == Operator::Match {
        let tests = values.iter().map(|(key, value)| value_test(key, value));
        return Ok(Test::All(tests.collect::<Result<_, _>>()?));
    }
    let tests = conditions.iter().map(|one| understand(one, depth));
    let mut tests = tests.collect::<Result<Vec<_>, _>>()?;
    Ok(match (operator, tests.pop()) {
        (Operator::Not, Some(test)) => Test::Not(Box::new(test)),
        (operator, last) => {
            tests.extend(last);
            if *operator == Operator::Or { Test::Any(tests) } else { Test::All(tests) }
        }
    })
}

/// What one value asks for.
fn value_test(key: &str, value: &str) -> Result<Test, Invalid> {
    const UNKNOWN: Invalid = Invalid(
        "a condition has a key that there is not: there are request.IP, date(ZONE).Date, date(ZONE).Hour and \
         date(ZONE).WeekDay, each alone or with a comparison behind it, as in request.IP.IN_RANGE; tags, names and types \
         of resources are not judged here",
    );
    const TOO_LONG: Invalid = Invalid("a key or a value of a condition has at most 8192 bytes");
    if key.len() > TEXT_MAX || value.len() > TEXT_MAX {
        return Err(TOO_LONG);
    }
    if let Some(comparison) = behind(key, "request.IP") {
        return address_test(comparison, value);
    }
    let rest = key.strip_prefix("date(").ok_or(UNKNOWN)?;
    let (zone, rest) = rest.split_once(").").ok_or(UNKNOWN)?;
    let parts = [(Part::Date, "Date"), (Part::Hour, "Hour"), (Part::WeekDay, "WeekDay")];
    let mut parts = parts.into_iter().filter_map(|(part, name)| Some((part, behind(rest, name)?)));
    let (part, comparison) = parts.next().ok_or(UNKNOWN)?;
    Ok(Test::Time(part, seconds_east(zone)?, time_comparison(part, comparison, value)?))
}

/// The comparison in a key that begins with this name: `EQ` where there is none.
fn behind<'a>(key: &'a str, name: &str) -> Option<&'a str> {
    match key.strip_prefix(name)? {
        "" => Some("EQ"),
        rest => rest.strip_prefix('.'),
    }
}

/// The entries of a list.
fn entries(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|entry| entry.trim_matches(' '))
}

fn address_test(comparison: &str, value: &str) -> Result<Test, Invalid> {
    const COMPARISON: Invalid = Invalid(
        "request.IP is compared with EQ (one address), IN (addresses) or IN_RANGE (ranges like 192.0.2.0/24), with commas \
         between them",
    );
    let networks = match comparison.to_ascii_uppercase().as_str() {
        "EQ" => vec![Network::of_one(value.trim_matches(' '))?],
        "IN" => entries(value).map(Network::of_one).collect::<Result<_, _>>()?,
        "IN_RANGE" => entries(value).map(Network::parse).collect::<Result<_, _>>()?,
        _ => return Err(COMPARISON),
    };
    Ok(Test::Address(networks))
}

/// What the time is compared with. Nothing that two readers could take for different times is taken:
/// whether 17:30 is after 17, or which day is the first of a week.
fn time_comparison(part: Part, comparison: &str, value: &str) -> Result<Comparison, Invalid> {
    const OF_DATE: Invalid = Invalid("a Date is compared with EQ, IN, BEFORE or AFTER");
    const OF_HOUR: Invalid = Invalid(
        "an Hour is compared with EQ, IN, GE, GT, LE or LT: until 17:59 is LE 17, from 18:00 on is GE 18",
    );
    const OF_WEEK_DAY: Invalid = Invalid("a WeekDay is compared with EQ or IN: name the days");
    let number = |text: &str| match part {
        Part::Date => date(text),
        Part::Hour => hour(text),
        Part::WeekDay => week_day(text),
    };
    let one = || number(value.trim_matches(' '));
    Ok(match (part, comparison.to_ascii_uppercase().as_str()) {
        (_, "EQ") => Comparison::OneOf(vec![one()?]),
        (_, "IN") => Comparison::OneOf(entries(value).map(number).collect::<Result<_, _>>()?),
        (Part::Date, "BEFORE") | (Part::Hour, "LT") => Comparison::Below(one()?),
        (Part::Date, "AFTER") | (Part::Hour, "GT") => Comparison::Above(one()?),
        (Part::Hour, "LE") => Comparison::AtMost(one()?),
        (Part::Hour, "GE") => Comparison::AtLeast(one()?),
        (Part::Date, _) => return Err(OF_DATE),
        (Part::Hour, _) => return Err(OF_HOUR),
        (Part::WeekDay, _) => return Err(OF_WEEK_DAY),
    })
}

/// How far east of UTC a zone is.
fn seconds_east(zone: &str) -> Result<i64, Invalid> {
    const WRONG: Invalid = Invalid(
        "the zone of a date is UTC or fixed, as in date(UTC).Hour or date(+01:00).Hour: what the clocks of a place show \
         changes twice a year in many of them, and this server knows no places",
    );
    if zone == "UTC" {
        return Ok(0);
    }
    let (sign, rest) = match zone.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(WRONG),
    };
    let (hours, minutes) = rest.split_once(':').ok_or(WRONG)?;
    let (hours, minutes) = (digits(hours, 2), digits(minutes, 2));
    let (hours, minutes) = hours.zip(minutes.filter(|minutes| *minutes < 60)).ok_or(WRONG)?;
    let seconds = hours * 3_600 + minutes * 60;
    if seconds <= OFFSET_MAX { Ok(sign * seconds) } else { Err(WRONG) }
}

/// The number in exactly so many digits.
fn digits(text: &str, number: usize) -> Option<i64> {
    let is_number = text.len() == number && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The day, counted from 1970-01-01.
fn date(text: &str) -> Result<i64, Invalid> {
    const WRONG: Invalid =
        Invalid("a Date of a condition is a day of the calendar like 2026-12-31");
    let parts: Vec<_> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return Err(WRONG) };
    let read = || {
        let year = i32::try_from(digits(year, 4)?).ok()?;
        let month = time::Month::try_from(u8::try_from(digits(month, 2)?).ok()?).ok()?;
        let day = u8::try_from(digits(day, 2)?).ok()?;
        time::Date::from_calendar_date(year, month, day).ok()
    };
    Ok(i64::from(
        read().ok_or(WRONG)?.to_julian_day() - time::OffsetDateTime::UNIX_EPOCH.to_julian_day(),
    ))
}

fn hour(text: &str) -> Result<i64, Invalid> {
    const WRONG: Invalid = Invalid("an Hour of a condition is a number from 0 to 23");
    let hour = digits(text, 1).or_else(|| digits(text, 2));
    hour.filter(|hour| (0..24).contains(hour)).ok_or(WRONG)
}

fn week_day(text: &str) -> Result<i64, Invalid> {
    const WRONG: Invalid = Invalid("a WeekDay of a condition is one of monday to sunday");
    const DAYS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let mut days = (0..).zip(DAYS);
    days.find(|(_, day)| text.eq_ignore_ascii_case(day)).map(|(at, _)| at).ok_or(WRONG)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matching(values: &[(&str, &str)]) -> Expression {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Expression { operator: Operator::Match, values: values.collect(), conditions: Vec::new() }
    }

    fn of(operator: Operator, conditions: &[Expression]) -> Expression {
        Expression { operator, values: Vec::new(), conditions: conditions.to_vec() }
    }

    /// 2026-11-27 was a Friday.
    fn at(second: &str, address: &str) -> Circumstances {
        let now = Timestamp::from_rfc3339(second).unwrap();
        Circumstances::new(now, address.parse().ok())
    }

    fn holds(written: &Expression, circumstances: &Circumstances) -> Option<bool> {
        when(written).is_now(circumstances)
    }

    fn when(written: &Expression) -> When {
        When { condition: Some(Condition::new(written.clone()).unwrap()), expires_at: None }
    }

    #[test]
    fn a_value_is_as_it_says() {
        let friday = at("2026-11-27T17:59:59Z", "192.0.2.1");
        for (key, value, expected) in [
            ("request.IP", "192.0.2.1", true),
            ("request.IP", "::ffff:192.0.2.1", true),
            ("request.IP.EQ", "192.0.2.2", false),
            ("request.IP.In", "192.0.2.2, 192.0.2.1", true),
            ("request.IP.IN_RANGE", "10.0.0.0/8,192.0.2.0/24", true),
            ("request.IP.IN_RANGE", "2001:db8::/32", false),
            ("date(UTC).Date", "2026-11-27", true),
            ("date(UTC).Date.IN", "2026-11-26,2026-11-28", false),
            ("date(UTC).Date.BEFORE", "2026-11-27", false),
            ("date(UTC).Date.BEFORE", "2026-11-28", true),
            ("date(UTC).Date.AFTER", "2026-11-27", false),
            ("date(UTC).Date.AFTER", "2026-11-26", true),
            ("date(UTC).Hour", "17", true),
            ("date(UTC).Hour.GE", "18", false),
            ("date(+00:01).Hour.GE", "18", true),
            ("date(-18:00).Hour", "23", true),
            ("date(UTC).Hour.GT", "16", true),
            ("date(UTC).Hour.GT", "17", false),
            ("date(UTC).Hour.LT", "17", false),
            ("date(UTC).Hour.LE", "17", true),
            ("date(UTC).Hour.IN", "07,8, 17", true),
            ("date(UTC).WeekDay", "Friday", true),
            ("date(+08:00).WeekDay.In", "saturday,sunday", true),
            ("date(UTC).WeekDay.In", "saturday,sunday", false),
        ] {
            let written = matching(&[(key, value)]);
            assert_eq!(holds(&written, &friday), Some(expected), "{key} {value}");
            assert_eq!(holds(&of(Operator::Not, &[written]), &friday), Some(!expected));
        }
    }

    /// A condition on tags was once passed over, and the policy allowed more than its author thought.
    #[test]
    fn what_is_not_understood_is_refused() {
        let valid = matching(&[("date(UTC).Hour", "7")]);
        for (key, value) in [
            ("resource.Tag(environment)", "prod"),
            ("resource.Name", "a"),
            ("request.ip", "192.0.2.1"),
            ("request.IP.", "192.0.2.1"),
            ("request.IP.STARTS_WITH", "192"),
            ("request.IP", "192.0.2.0/24"),
            ("request.IP", "192.0.2.1,192.0.2.2"),
            ("request.IP.IN", "192.0.2.1,"),
            ("request.IP.IN_RANGE", "192.0.2.1"),
            ("request.IPX", "192.0.2.1"),
            ("date.Hour", "7"),
            ("date(Europe/Paris).Hour", "7"),
            ("date().Hour", "7"),
            ("date(+1:00).Hour", "7"),
            ("date(+19:00).Hour", "7"),
            ("date(+01:60).Hour", "7"),
            ("date(01:00).Hour", "7"),
            ("date(UTC).hour", "7"),
            ("date(UTC).Minute", "7"),
            ("date(UTC).Hour", "24"),
            ("date(UTC).Hour", "-1"),
            ("date(UTC).Hour", "+7"),
            ("date(UTC).Hour", ""),
            ("date(UTC).Hour", "7,8"),
            ("date(UTC).Hour.AFTER", "7"),
            ("date(UTC).WeekDay.AFTER", "monday"),
            ("date(UTC).WeekDay", "mon"),
            ("date(UTC).Date", "2026-02-29"),
            ("date(UTC).Date", "2026-2-28"),
            ("date(UTC).Date", "26-02-28"),
            ("date(UTC).Date", "2026-02-28T00:00:00Z"),
            ("date(UTC).Date.GE", "2026-02-28"),
        ] {
            assert!(Condition::new(matching(&[(key, value)])).is_err(), "{key} {value}");
            let both = of(Operator::Or, &[valid.clone(), matching(&[(key, value)])]);
            assert!(Condition::new(both).is_err(), "{key} {value}");
        }
        for shapeless in [
            matching(&[]),
            of(Operator::And, &[]),
            of(Operator::Or, &[]),
            of(Operator::Not, &[]),
            of(Operator::Not, &[valid.clone(), valid.clone()]),
            of(Operator::Match, std::slice::from_ref(&valid)),
            Expression { conditions: vec![valid.clone()], ..valid.clone() },
            Expression { operator: Operator::And, ..valid.clone() },
        ] {
            assert!(Condition::new(shapeless.clone()).is_err(), "{shapeless:?}");
        }
    }

    #[test]
    fn how_much_one_asks_is_bounded() {
        let nested = |depth: usize| {
            (1..depth)
                .fold(matching(&[("date(UTC).Hour", "7")]), |inner, _| of(Operator::Not, &[inner]))
        };
        assert!(Condition::new(nested(DEPTH_MAX)).is_ok());
        assert!(Condition::new(nested(DEPTH_MAX + 1)).is_err());
        let list =
            |number: usize| matching(&[("request.IP.IN", &vec!["192.0.2.1"; number].join(","))]);
        assert_eq!(when(&list(COMPARISONS_MAX)).comparisons(), COMPARISONS_MAX);
        assert!(Condition::new(list(COMPARISONS_MAX + 1)).is_err());
        let halves = of(Operator::Or, &[list(64), of(Operator::Not, &[list(64)])]);
        assert!(Condition::new(halves.clone()).is_ok());
        assert!(Condition::new(of(Operator::And, &[halves, list(1)])).is_err());
        let spaces = format!("{}7", " ".repeat(TEXT_MAX));
        assert!(Condition::new(matching(&[("date(UTC).Hour", &spaces)])).is_err());
    }

    #[test]
    fn from_its_end_on_it_is_over() {
        let end = Timestamp::from_unix_seconds(100);
        let at = |second| Circumstances::new(Timestamp::from_unix_seconds(second), None);
        let until = When { condition: None, expires_at: Some(end) };
        assert_eq!(
            [99, 100, 101].map(|second| until.is_now(&at(second))),
            [Some(true), Some(false), Some(false)]
        );
        assert_eq!(until.is_now(&Circumstances::default()), None);
        assert_eq!((until.comparisons(), until.is_always()), (1, false));
        assert_eq!(When::default().is_now(&Circumstances::default()), Some(true));
        // What is over is over, wherever the request comes from.
        let here = When { expires_at: Some(end), ..when(&matching(&[("request.IP", "::1")])) };
        assert_eq!([99, 100].map(|second| here.is_now(&at(second))), [None, Some(false)]);
    }

    #[derive(Clone, Copy, Debug)]
    enum Known {
        Yes,
        No,
        Nothing,
    }

    fn known() -> impl Strategy<Value = Known> {
        prop::sample::select(vec![Known::Yes, Known::No, Known::Nothing])
    }

    proptest! {
        /// The calendar is that of another library.
        #[test]
        fn the_time_is_that_of_the_zone(seconds in 0i64..4_000_000_000, east in -18 * 60i64..=18 * 60) {
            let zone = format!("{}{:02}:{:02}", if east < 0 { '-' } else { '+' }, east.abs() / 60, east.abs() % 60);
            let there = time::OffsetDateTime::from_unix_timestamp(seconds)
                .unwrap()
                .to_offset(time::UtcOffset::from_whole_seconds(i32::try_from(east * 60).unwrap()).unwrap());
            let circumstances = Circumstances::new(Timestamp::from_unix_seconds(seconds), None);
            let date = there.date();
            for (part, value) in [
                ("Date", format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())),
                ("Hour", there.hour().to_string()),
                ("WeekDay", there.weekday().to_string()),
            ] {
                let key = format!("date({zone}).{part}");
                prop_assert_eq!(holds(&matching(&[(&key, &value)]), &circumstances), Some(true));
            }
        }

        /// Whatever was not known may turn out either way: what is said then is said of both.
        #[test]
        fn what_is_said_is_true_however_the_rest_turns_out(
            parts in prop::collection::vec((known(), any::<bool>()), 1..5),
            operator in prop::sample::select(vec![Operator::And, Operator::Or]),
            is_turned: bool,
            address: [bool; 5],
        ) {
            // What is known is of the time, and what is not of the address.
            let build = |known_as: &dyn Fn(usize, Known) -> (&'static str, &'static str)| {
                let parts = parts.iter().enumerate().map(|(place, (known, is_turned))| {
                    let written = matching(&[known_as(place, *known)]);
                    if *is_turned { of(Operator::Not, &[written]) } else { written }
                });
                let whole = of(operator, &parts.collect::<Vec<_>>());
                if is_turned { of(Operator::Not, &[whole]) } else { whole }
            };
            let (yes, no) = (("date(UTC).Hour", "17"), ("date(UTC).Hour", "18"));
            let as_known = |_: usize, known: Known| match known {
                Known::Yes => yes,
                Known::No => no,
                Known::Nothing => ("request.IP", "192.0.2.1"),
            };
            let as_it_turns_out = |place: usize, known: Known| match known {
                Known::Yes => yes,
                Known::No => no,
                Known::Nothing => if address[place] { yes } else { no },
            };
            let nowhere = at("2026-11-27T17:00:00Z", "");
            let told = holds(&build(&as_known), &nowhere);
            let truth = holds(&build(&as_it_turns_out), &nowhere);
            prop_assert!(truth.is_some());
            prop_assert!(told.is_none() || told == truth);
            let is_all_known = parts.iter().all(|(known, _)| !matches!(known, Known::Nothing));
            prop_assert!(!is_all_known || told.is_some());
        }
    }

    #[test]
    fn of_a_request_of_which_nothing_is_known_nothing_is_said() {
        let nothing = Circumstances::default();
        for value in [("request.IP.IN_RANGE", "0.0.0.0/0"), ("date(UTC).Date.AFTER", "1970-01-01")]
        {
            assert_eq!(holds(&matching(&[value]), &nothing), None);
        }
    }
}
