"""The metric registry behind `/metrics`, the OTLP export, and the local collector with its dashboards."""
