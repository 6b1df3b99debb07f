"""What a site really stores and asks of others: a real Chromium looks, and what it saw is held to what is declared.

`seen` has the values, `watching` looks at one browser context, `answering` clicks a banner, `passes` drives the four
visits, `differences` compares with sites.toml, `report` writes it down. `consent scan` is the command.
"""
