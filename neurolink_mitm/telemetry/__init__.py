"""OpenTelemetry export, and the local collector with its dashboards (`neurolink proxy telemetry`)."""
