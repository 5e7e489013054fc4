use crate::failure::Failure;
use plotters::prelude::*;
use std::fmt::Display;
use std::path::Path;

/// A level of load and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Operations that each client had in flight.
    pub in_flight: usize,
    /// Operations a second.
    pub throughput: f64,
    /// Latencies in milliseconds, in the order of [`CURVES`].
    pub latencies: [f64; 3],
}

/// The curves that are drawn.
const CURVES: [(&str, RGBColor); 3] =
    [("p50", RGBColor(0, 114, 178)), ("p99", RGBColor(213, 94, 0)), ("p99.9", RGBColor(110, 110, 110))];
const SIZE: (u32, u32) = (960, 600);

/// Draws latency over throughput, one point a level of load, as an SVG file.
pub fn draw(file: &Path, title: &str, points: &[Point]) -> Result<(), Failure> {
    let failed = |error: &dyn Display| Failure::io(format!("cannot draw {}: {error}", file.display()));
    let latencies = || points.iter().flat_map(|point| point.latencies).filter(|latency| *latency > 0.0);
    let (least, most) = latencies().fold((f64::INFINITY, 0.0_f64), |(least, most), one| (least.min(one), most.max(one)));
    if !least.is_finite() {
        return Err(failed(&"nothing was answered"));
    }
    let fastest = points.iter().map(|point| point.throughput).fold(0.0, f64::max);
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..fastest * 1.08, (least / 1.5..most * 1.5).log_scale())
        .map_err(|error| failed(&error))?;
    let whole = |throughput: &f64| format!("{throughput:.0}");
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("operations/s").y_desc("latency in ms").x_label_formatter(&whole);
    mesh.draw().map_err(|error| failed(&error))?;
    for (index, (name, colour)) in CURVES.into_iter().enumerate() {
        let curve: Vec<(f64, f64)> =
            points.iter().filter_map(|point| Some((point.throughput, *point.latencies.get(index)?))).collect();
        let line = LineSeries::new(curve.iter().copied(), colour.stroke_width(2));
        chart
            .draw_series(line)
            .map_err(|error| failed(&error))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x.saturating_add(18), y)], colour.stroke_width(2)));
        let dots = curve.iter().map(|place| Circle::new(*place, 3, colour.filled()));
        chart.draw_series(dots).map_err(|error| failed(&error))?;
    }
    let levels = points.iter().map(|point| {
        let [p50, ..] = point.latencies;
        Text::new(format!("{}", point.in_flight), (point.throughput, p50 * 0.93), ("sans-serif", 12))
    });
    chart.draw_series(levels).map_err(|error| failed(&error))?;
    let mut legend = chart.configure_series_labels();
    legend.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
    legend.draw().map_err(|error| failed(&error))?;
    root.present().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_all_levels() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("curve.svg");
        let point = |in_flight: usize| {
            let number = in_flight as f64;
            Point { in_flight, throughput: 1000.0 * number, latencies: [number, 2.0 * number, 4.0 * number] }
        };
        draw(&file, "four replicas", &[point(3), point(77), point(512)]).unwrap();
        let svg = std::fs::read_to_string(&file).unwrap();
        for text in ["<svg", "four replicas", "operations/s", "latency in ms", "p99.9", "512", "77"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(draw(&file, "", &[]).is_err());
    }
}
