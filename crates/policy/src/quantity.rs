//! Kubernetes quantities (`100m`, `1.5Gi`, `12e6`): operators and functions of policies compare and compute with them,
//! and print the results. Parsing, rounding and the printed form follow apimachinery's `resource.Quantity`, because a
//! verdict or a message that differs by one digit is wrong.
//!
//! ```text
//! "1.5Gi" ─ text ─► digits, suffix ─► unscaled 1610612736000000000, scale 9, BinarySi ─► "1536Mi"
//! ```

mod text;

use std::cmp::Ordering;
use std::fmt;
use thiserror::Error;

/// How a quantity was written, and so how it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`, `12`
    DecimalSi,
}

/// An exact decimal number, `unscaled` × 10^-`scale`, with its way of writing.
///
/// Up to 37 digits are kept; from longer texts the leading ones, rounded away from zero.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    unscaled: i128,
    scale: i32,
    format: Format,
}

/// Why a text is no quantity, or an operation has no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// Not `<signed number><suffix>`.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// A suffix other than n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei, e<number>.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// No digits.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// The result has more than 38 digits.
    #[error("quantity out of range")]
    Range,
    /// The divisor is zero.
    #[error("division of a quantity by zero")]
    ZeroDivisor,
}

impl Quantity {
    /// Reads a quantity as `resource.ParseQuantity` does; what is smaller than a billionth is rounded up to it, and a
    /// binary quantity above 2^63-1 is cut to that.
    ///
    /// # Errors
    /// [`QuantityError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        text::parse(text)
    }

    /// A whole number, printed as `format` says.
    pub const fn from_integer(value: i64, format: Format) -> Self {
        Self { unscaled: value as i128, scale: 0, format }
    }

    /// How this quantity was written.
    pub const fn format(self) -> Format {
        self.format
    }

    /// Whether this is zero.
    pub const fn is_zero(self) -> bool {
        self.unscaled == 0
    }

    /// The nearest float, computed as `AsApproximateFloat64` does.
    pub fn approximate(self) -> f64 {
        let base = self.unscaled as f64;
        if self.scale == 0 {
            return base;
        }
        // Unlike powi, parsing gives the float nearest to the power, as Go's table does.
        base * format!("1e{}", -i64::from(self.scale)).parse::<f64>().unwrap_or(0.0)
    }

    /// The sum, written like the first operand, or like the second if the first is zero.
    ///
    /// # Errors
    /// [`QuantityError::Range`] above 38 digits.
    pub fn checked_add(self, other: Self) -> Result<Self, QuantityError> {
        let format = if self.is_zero() { other.format } else { self.format };
        if self.is_zero() || other.is_zero() {
            return Ok(Self { format, ..if self.is_zero() { other } else { self } });
        }
        let (a, b, scale) = self.align(other).ok_or(QuantityError::Range)?;
        Ok(Self { unscaled: a.checked_add(b).ok_or(QuantityError::Range)?, scale, format })
    }

    /// The difference, written as [`Quantity::add`] says.
    ///
    /// # Errors
    /// [`QuantityError::Range`] above 38 digits.
    pub fn checked_subtract(self, other: Self) -> Result<Self, QuantityError> {
        self.checked_add(Self {
            unscaled: other.unscaled.checked_neg().ok_or(QuantityError::Range)?,
            ..other
        })
    }

    /// The exact product, written like the first operand.
    ///
    /// # Errors
    /// [`QuantityError::Range`] above 38 digits.
    pub fn checked_multiply(self, other: Self) -> Result<Self, QuantityError> {
        let unscaled = self.unscaled.checked_mul(other.unscaled).ok_or(QuantityError::Range)?;
        let scale = self.scale.checked_add(other.scale).ok_or(QuantityError::Range)?;
        Ok(Self { unscaled, scale, format: self.format })
    }

    /// The quotient cut towards zero to the digits that the more precise operand has, written like the first operand.
    ///
    /// # Errors
    /// [`QuantityError::ZeroDivisor`], or [`QuantityError::Range`] above 38 digits.
    pub fn checked_divide(self, other: Self) -> Result<Self, QuantityError> {
        if other.is_zero() {
            return Err(QuantityError::ZeroDivisor);
        }
        let scale = self.scale.max(other.scale);
        let shift = scale - self.scale + other.scale;
        let (mut dividend, mut divisor) = (self.unscaled, other.unscaled);
        if shift >= 0 {
            dividend = scaled(dividend, shift).ok_or(QuantityError::Range)?;
        } else {
            divisor = scaled(divisor, -shift).ok_or(QuantityError::Range)?;
        }
        Ok(Self { unscaled: dividend / divisor, scale, format: self.format })
    }

    /// Both numbers over the same scale.
    fn align(self, other: Self) -> Option<(i128, i128, i32)> {
        let scale = self.scale.max(other.scale);
        Some((
            scaled(self.unscaled, scale - self.scale)?,
            scaled(other.unscaled, scale - other.scale)?,
            scale,
        ))
    }
}

/// `value` × 10^`power`, if it fits.
fn scaled(value: i128, power: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    value.checked_mul(10i128.checked_pow(u32::try_from(power).ok()?)?)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    /// By value: `1000m` equals `1`.
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.unscaled.signum().cmp(&other.unscaled.signum());
        if signs != Ordering::Equal || self.is_zero() {
            return signs;
        }
        match self.align(*other) {
            Some((a, b, _)) => a.cmp(&b),
            // Too far apart to be aligned: the one with the smaller scale is the larger by magnitude.
            None if self.unscaled > 0 => other.scale.cmp(&self.scale),
            None => self.scale.cmp(&other.scale),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::print(self, f)
    }
}

#[cfg(test)]
mod tests;
