"""What Prometheus reads: every check's series, the incidents, the promises, and the daemon's own figures."""
