"""Reports by e-mail: the last whole week or month of a site, for people who read their mail and no dashboard."""
