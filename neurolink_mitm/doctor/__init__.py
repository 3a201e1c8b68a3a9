"""`neurolink proxy doctor`: probes of this machine and of upstream, diagnostics, and the support bundle.

`contract` is the table of what Anthropic asks of LLM gateways, `contract_probes` judges its rows by real requests.
"""
