"""`neurolink proxy doctor`: probes of this machine and of upstream, diagnostics, and the support bundle."""
