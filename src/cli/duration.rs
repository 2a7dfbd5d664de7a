//! Durations on the command line.

use std::time::Duration;

/// Maximum duration: ten years.
const MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Reads `30s`, `10m`, `1h`, `7d` and sums of them, such as `1h30m`.
pub fn parse(text: &str) -> Result<Duration, String> {
    const FORM: &str = "write a time such as 30s, 10m, 1h or 1h30m";
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| FORM.to_owned())?;
        let seconds: u64 = match unit.bytes().next() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 60 * 60,
            Some(b'd') => 24 * 60 * 60,
            _ => return Err(FORM.to_owned()),
        };
        sum = sum.saturating_add(Duration::from_secs(number.saturating_mul(seconds)));
        rest = &unit[1..];
    }
    match sum {
        Duration::ZERO => Err(FORM.to_owned()),
        sum if sum > MAX => Err("this is longer than ten years; write a shorter time".to_owned()),
        sum => Ok(sum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_sum_of_numbers_with_units() {
        for (text, seconds) in
            [("30s", 30), ("10m", 600), ("1h", 3600), ("24h", 86_400), ("1h30m", 5400), ("2d", 172_800)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "0s", "1", "h", "1 h", "-1h", "1w", "1hm", "ü", "1ü", "99999999999999999999s", "9999999999d"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
