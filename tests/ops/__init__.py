"""What watches the servers: metrics, alerts, pages, dashboards, runbooks."""
