//! In which format a scraper wants its metrics (RFC 9110 12.5.1).

use http::HeaderValue;

use crate::telemetry::metrics::Format;

/// OpenMetrics for whoever asks for it by name, and would rather have it than text; else text, whatever else is said.
pub(super) fn format<'a>(accept: impl IntoIterator<Item = &'a HeaderValue>) -> Format {
    let (mut text, mut open) = (0.0, 0.0);
    for range in accept.into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
        let parameter = |wanted: &str| {
            let mut named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
            let found = named.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.trim().trim_matches('"'))
        };
        let weight = parameter("q").map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
        let (favoured, versions): (&mut f32, _) = match &*name.trim().to_ascii_lowercase() {
            "application/openmetrics-text" => (&mut open, ["1.0.0", "0.0.1"]),
            "text/plain" => (&mut text, ["0.0.4", "0.0.4"]),
            "text/*" | "*/*" => (&mut text, ["", ""]),
            _ => continue,
        };
        if parameter("version").is_none_or(|version| versions.contains(&version)) {
            *favoured = favoured.max(weight);
        }
    }
    if open > text { Format::OpenMetrics } else { Format::Text }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::format;
    use crate::telemetry::metrics::Format;

    #[test]
    fn openmetrics_is_for_whoever_prefers_it() {
        for (accept, wanted) in [
            // Prometheus 3, Prometheus 2.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.5", Format::Text),
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text; version=2.0.0", Format::Text),
            ("application/openmetrics-text; q=x", Format::Text),
            ("application/openmetrics-text; Q = 0.3", Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("application/json", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(format([&HeaderValue::from_static(accept)]), wanted, "{accept}");
        }
        assert_eq!(format([]), Format::Text);
    }
}
