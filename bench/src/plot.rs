//! The ratios to the peers as bars on a logarithmic scale: one SVG, its text as text.

use std::fmt::Write as _;

use crate::table::{Ratio, times};

const WIDTH: f64 = 960.0;
/// Left and right edge of the bars' area.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 890.0;
const TOP: f64 = 64.0;
const BAR: f64 = 14.0;
/// Distances between bars and between groups.
const STEP: f64 = 19.0;
const GAP: f64 = 26.0;
/// Width of a bar's figure.
const LABEL: f64 = 40.0;

/// Colours that stand out on white and on black alike.
const STYLE: &str = "text{font-family:system-ui,sans-serif;font-size:12px;fill:#7a7f87}\
.title{font-size:15px;font-weight:600}.group{font-weight:600}\
.met{fill:#2f9e6e}.missed{fill:#d9534f}.free{fill:#4a86c8}\
.grid{stroke:#7a7f87;stroke-opacity:.3}.even{stroke:#7a7f87;stroke-width:1.5}\
.goal{stroke:#c98a1b;stroke-width:3}";

/// A picture of how many times less than each peer the work takes.
pub(crate) fn plot(ratios: &[&Ratio]) -> String {
    let scale = Scale::of(ratios);
    let mut body = String::new();
    let (mut y, mut group) = (TOP, "");
    for ratio in ratios {
        if ratio.what != group {
            y += if group.is_empty() { 12.0 } else { GAP - STEP + 12.0 };
            group = &ratio.what;
            let _ = writeln!(body, "<text class='group' x='12' y='{y:.0}'>{}</text>", text(group));
            y += 6.0;
        }
        bar(&mut body, ratio, &scale, y);
        y += STEP;
    }
    let bottom = y + 2.0;
    let mut picture = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH:.0} {height:.0}' \
         width='{WIDTH:.0}' height='{height:.0}' role='img' aria-label='{title}'>\n\
         <style>{STYLE}</style>\n\
         <text class='title' x='12' y='22'>{title}</text>\n\
         <text x='12' y='40'>{legend}</text>\n",
        height = bottom + 28.0,
        title = "How many times less time Curator takes than its peers",
        legend = "Logarithmic scale; right of 1x is faster. Green: within its budget, whose mark is \
                  yellow. Red: outside. Blue: no budget.",
    );
    for power in scale.low..=scale.high {
        let value = 10_f64.powi(power);
        let (x, class) = (scale.x(value), if power == 0 { "even" } else { "grid" });
        let from = TOP - 4.0;
        let _ = write!(
            picture,
            "<line class='{class}' x1='{x:.1}' y1='{from}' x2='{x:.1}' y2='{bottom:.0}'/>\n\
             <text x='{x:.1}' y='{below:.0}' text-anchor='middle'>{value}x</text>\n",
            below = bottom + 18.0,
        );
    }
    picture + &body + "</svg>\n"
}

fn bar(body: &mut String, ratio: &Ratio, scale: &Scale, y: f64) {
    let (even, end) = (scale.x(1.0), scale.x(ratio.times));
    let class = match ratio.is_met() {
        Some(true) => "met",
        Some(false) => "missed",
        None => "free",
    };
    let baseline = y + BAR - 3.0;
    let (from, width) = (even.min(end), (end - even).abs().max(1.0));
    // Behind the bar, and behind the mark of its goal if the mark is in the way.
    let behind = even.max(end) + 6.0;
    let goal = ratio.goal().map(|goal| scale.x(goal));
    let behind = match goal {
        Some(goal) if goal > behind - 10.0 && goal < behind + LABEL => goal + 6.0,
        _ => behind,
    };
    let _ = write!(
        body,
        "<text x='{label:.0}' y='{baseline:.0}' text-anchor='end'>{peer}</text>\n\
         <rect class='{class}' x='{from:.1}' y='{y:.0}' width='{width:.1}' height='{BAR}' rx='2'/>\n\
         <text x='{behind:.1}' y='{baseline:.0}'>{times}</text>\n",
        label = LEFT - 8.0,
        peer = text(&ratio.peer),
        times = times(ratio.times),
    );
    if let Some(x) = goal {
        let (from, to) = (y - 1.0, y + BAR + 1.0);
        let _ = writeln!(
            body,
            "<line class='goal' x1='{x:.1}' y1='{from:.0}' x2='{x:.1}' y2='{to:.0}'/>"
        );
    }
}

/// Powers of ten from left to right, including 10 to the 0.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn of(ratios: &[&Ratio]) -> Self {
        let values = || ratios.iter().flat_map(|it| [Some(it.times), it.goal()]).flatten();
        let low = values().fold(1.0, f64::min).log10().floor();
        let high = values().fold(10.0, f64::max).log10().ceil();
        #[expect(clippy::cast_possible_truncation, reason = "no ratio has that many digits")]
        Self { low: low as i32, high: high as i32 }
    }

    fn x(&self, value: f64) -> f64 {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        LEFT + (value.log10() - low) / (high - low) * (RIGHT - LEFT)
    }
}

/// Escapes the words for XML.
fn text(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&#39;")
}
