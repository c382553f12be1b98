//! Medians, and the table.

use std::fmt::Write;

/// What a ratio, or a figure without a reference, should be.
#[derive(Clone, Copy)]
pub(super) enum Budget {
    AtLeast(f64),
    AtMost(f64),
    /// Shown to explain another row.
    None,
}

/// A line of the table.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) okmsd: String,
    pub(super) reference: String,
    pub(super) ratio: String,
    pub(super) budget: String,
    pub(super) met: &'static str,
}

/// The turns of okmsd and its reference.
#[derive(Default)]
pub(super) struct Rounds(Vec<(f64, f64)>);

impl Rounds {
    pub(super) fn push(&mut self, okmsd: f64, reference: f64) {
        self.0.push((okmsd, reference));
    }

    /// The medians, and the median ratio of a turn.
    pub(super) fn row(&self, what: String, unit: &str, budget: Budget) -> Row {
        let over = |pick: fn(&(f64, f64)) -> f64| median(self.0.iter().map(pick).collect());
        let ratio = over(|(okmsd, reference)| okmsd / reference);
        Row {
            what,
            okmsd: figure(over(|turn| turn.0), unit),
            reference: figure(over(|turn| turn.1), unit),
            ratio: format!("{ratio:.2}"),
            budget: budget.text(""),
            met: budget.verdict(ratio),
        }
    }
}

impl Rounds {
    /// The medians, and by how much okmsd is above its reference in the median turn: that is what
    /// has the budget.
    pub(super) fn beyond(&self, what: String, budget: Budget) -> Row {
        let over = |pick: fn(&(f64, f64)) -> f64| median(self.0.iter().map(pick).collect());
        let more = over(|(okmsd, reference)| okmsd - reference);
        Row {
            what,
            okmsd: figure(over(|turn| turn.0), ""),
            reference: figure(over(|turn| turn.1), ""),
            ratio: format!("{more:+.1}"),
            budget: budget.text(" more"),
            met: budget.verdict(more),
        }
    }
}

impl Row {
    /// A figure that has a budget of its own.
    pub(super) fn alone(what: String, value: f64, unit: &str, budget: Budget) -> Self {
        let none = || "-".to_owned();
        Self {
            what,
            okmsd: figure(value, unit),
            reference: none(),
            ratio: none(),
            budget: budget.text(unit),
            met: budget.verdict(value),
        }
    }

    /// What could not be measured, and why.
    pub(super) fn skipped(what: String, why: &str) -> Self {
        let none = || "-".to_owned();
        Self {
            what,
            okmsd: "skipped".to_owned(),
            reference: why.to_owned(),
            ratio: none(),
            budget: none(),
            met: "-",
        }
    }
}

impl Budget {
    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}{unit}"),
            Self::AtMost(most) => format!("<= {most}{unit}"),
            Self::None => "-".to_owned(),
        }
    }

    fn verdict(self, value: f64) -> &'static str {
        match self {
            Self::AtLeast(least) if value >= least => "yes",
            Self::AtMost(most) if value <= most => "yes",
            Self::None => "-",
            _ => "NO",
        }
    }
}

/// The middle one; the lower of two middle ones.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// What so large a part of the values does not exceed.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a few seconds"
)]
pub(super) fn percentile(values: &[f64], at: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get((values.len() as f64 * at) as usize).copied().unwrap_or(f64::NAN)
}

/// So many writers, in words.
pub(super) fn of_writers(number: usize) -> String {
    if number == 1 { "one writer".to_owned() } else { format!("{number} writers") }
}

fn figure(value: f64, unit: &str) -> String {
    if value < 100.0 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

/// The rows as a table in Markdown.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut text =
        "| what | okmsd | reference | ratio | budget | met |\n| --- | --: | --: | --: | --: | --- |\n".to_owned();
    for Row { what, okmsd, reference, ratio, budget, met } in rows {
        // Writing into memory does not fail.
        let _infallible =
            writeln!(text, "| {what} | {okmsd} | {reference} | {ratio} | {budget} | {met} |");
    }
    text
}
