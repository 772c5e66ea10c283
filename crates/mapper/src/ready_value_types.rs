//! Types of named values that are there without being asked for: those that the Python library knows.

use std::sync::LazyLock;

use boxes_domain::{ValueType, ValueTypes};
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

#[cfg(feature = "decimal")]
pub use self::decimal::DecimalAsStr;

/// A UUID, as the Python library `eventsourcing` writes one: `{"_type_":"uuid_hex","_data_":"0190…"}`, 32 hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct UuidAsHex;

impl ValueType for UuidAsHex {
    const NAME: &'static str = "uuid_hex";
    type Value = Uuid;
    type Data = String;

    fn to_data(id: &Uuid) -> String {
        id.simple().to_string()
    }

    fn from_data(data: String) -> Option<Uuid> {
        Uuid::try_parse(&data).ok()
    }
}

/// A moment, as the Python library `eventsourcing` writes one:
/// `{"_type_":"datetime_iso","_data_":"2026-01-02T03:04:05.678901+00:00"}`.
///
/// One with another offset is the same moment; the offset is not kept. A `datetime` without one is no moment, and is refused:
/// register a type of yours with this name for it, whose value is [`jiff::civil::DateTime`]. Python's `datetime` has
/// microseconds: what is finer is written, and dropped there.
#[derive(Debug, Clone, Copy)]
pub struct DatetimeAsIso;

impl ValueType for DatetimeAsIso {
    const NAME: &'static str = "datetime_iso";
    type Value = Timestamp;
    type Data = String;

    fn to_data(moment: &Timestamp) -> String {
        // As Python does: no fraction, or microseconds. `Z` is not read by all of its versions.
        let format = match moment.subsec_nanosecond() {
            0 => "%Y-%m-%dT%H:%M:%S+00:00",
            nanoseconds if nanoseconds % 1_000 == 0 => "%Y-%m-%dT%H:%M:%S.%6f+00:00",
            _ => "%Y-%m-%dT%H:%M:%S.%9f+00:00",
        };
        moment.strftime(format).to_string()
    }

    fn from_data(data: String) -> Option<Timestamp> {
        data.parse().ok()
    }
}

/// A day: `{"_type_":"date_iso","_data_":"2026-01-02"}`. The Python library has no transcoding for `date`; this is the name that
/// its documentation gives to one.
#[derive(Debug, Clone, Copy)]
pub struct DateAsIso;

impl ValueType for DateAsIso {
    const NAME: &'static str = "date_iso";
    type Value = Date;
    type Data = String;

    fn to_data(day: &Date) -> String {
        day.to_string()
    }

    fn from_data(data: String) -> Option<Date> {
        // Of a moment it would be the day, and the rest would be lost.
        let day: Date = data.parse().ok()?;
        (day.to_string() == data).then_some(day)
    }
}

#[cfg(feature = "decimal")]
mod decimal {
    use boxes_domain::ValueType;
    use rust_decimal::Decimal;

    /// A decimal number, as the Python library `eventsourcing` writes one: `{"_type_":"decimal_str","_data_":"12.50"}`. Zeros at
    /// the end are kept.
    ///
    /// [`Decimal`] has 28 digits. What it can't hold exactly is refused, also Python's infinite ones and those that are no
    /// number: register a type of yours with this name where they come.
    #[derive(Debug, Clone, Copy)]
    pub struct DecimalAsStr;

    impl ValueType for DecimalAsStr {
        const NAME: &'static str = "decimal_str";
        type Value = Decimal;
        type Data = String;

        fn to_data(number: &Decimal) -> String {
            number.to_string()
        }

        fn from_data(data: String) -> Option<Decimal> {
            // Python writes large and small ones as `1E+3`.
            match data.split_once(['e', 'E']) {
                None => Decimal::from_str_exact(&data).ok(),
                Some((digits, _)) => {
                    Decimal::from_str_exact(digits).ok()?;
                    Decimal::from_scientific(&data).ok()
                }
            }
        }
    }
}

/// All of them. Each makes room for a type of the same name that a box registers.
pub(crate) fn ready_value_types() -> ValueTypes {
    static READY: LazyLock<ValueTypes> = LazyLock::new(|| {
        let mut types = ValueTypes::default();
        let registered = [
            types.register_replaceable::<UuidAsHex>(),
            types.register_replaceable::<DatetimeAsIso>(),
            types.register_replaceable::<DateAsIso>(),
            #[cfg(feature = "decimal")]
            types.register_replaceable::<DecimalAsStr>(),
        ];
        debug_assert!(
            registered.iter().all(Result::is_ok),
            "they have names of their own"
        );
        types
    });
    READY.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    /// That `value` is written as `data` and read from it, and from `others` too.
    fn both_ways<V>(value: &V::Value, data: &str, others: &[&str])
    where
        V: ValueType<Data = String, Value: PartialEq + Debug>,
    {
        assert_eq!(V::to_data(value), data);
        for data in others.iter().chain([&data]) {
            let read = V::from_data((*data).to_owned());
            assert_eq!(read.as_ref(), Some(value), "{data}");
        }
    }

    fn refuses<V: ValueType<Data = String>>(data: &[&str]) {
        for data in data {
            assert!(V::from_data((*data).to_owned()).is_none(), "{data}");
        }
    }

    #[test]
    fn a_uuid_is_written_as_python_writes_it_and_read_with_hyphens_too() {
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        let others = ["01900000-0000-7000-8000-000000000001"];
        both_ways::<UuidAsHex>(&id, "01900000000070008000000000000001", &others);
        refuses::<UuidAsHex>(&["", "0190"]);
    }

    #[test]
    fn a_moment_has_the_digits_that_python_gives_it() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (moment, data, others) in [
            (
                at("2026-01-02T03:04:05Z"),
                "2026-01-02T03:04:05+00:00",
                &["2026-01-02T05:04:05+02:00"][..],
            ),
            (
                at("2026-01-02T03:04:05.678901Z"),
                "2026-01-02T03:04:05.678901+00:00",
                &[],
            ),
            (
                at("2026-01-02T03:04:05.000000001Z"),
                "2026-01-02T03:04:05.000000001+00:00",
                &[],
            ),
        ] {
            both_ways::<DatetimeAsIso>(&moment, data, others);
        }
        refuses::<DatetimeAsIso>(&["2026-01-02T03:04:05", "2026-01-02", "now"]);
    }

    #[test]
    fn a_day_is_a_day_and_nothing_more() {
        both_ways::<DateAsIso>(&Date::constant(2026, 1, 2), "2026-01-02", &[]);
        refuses::<DateAsIso>(&["2026-01-02T03:04:05", "20260102", "2026-02-30"]);
    }

    #[cfg(feature = "decimal")]
    #[test]
    fn a_decimal_keeps_its_digits_and_is_refused_where_they_would_be_lost() {
        use rust_decimal::Decimal;

        both_ways::<DecimalAsStr>(&Decimal::new(1250, 2), "12.50", &["1250E-2"]);
        both_ways::<DecimalAsStr>(&Decimal::new(-1000, 0), "-1000", &["-1E+3"]);
        refuses::<DecimalAsStr>(&[
            "Infinity",
            "NaN",
            "",
            "1.00000000000000000000000000001",
            "1E+40",
            "1.00000000000000000000000000001E+1",
        ]);
    }
}
