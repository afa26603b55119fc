"""The pages people use in a browser: server-rendered, no script, one stylesheet."""
