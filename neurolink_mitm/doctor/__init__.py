"""`neurolink proxy doctor`: probes of this machine and of upstream, diagnostics, and the support bundle.

`examination` is what the command asks; the dashboard asks the same by `examiner`, in a process of its own.
`contract` is the table of what Anthropic asks of LLM gateways, `contract_probes` judges its rows by real requests.
"""
