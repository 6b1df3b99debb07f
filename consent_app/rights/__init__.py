"""What a visitor may ask for (GDPR Articles 15 to 21, DPA 2018 section 164A): the pages, and what they do.

`exercise` carries a right out, for the pages and the command line alike; `pages`, `complaint_pages` and `notices` are
the blueprints, `forms` what they share, and `check` verifies a copy without a server.
"""
