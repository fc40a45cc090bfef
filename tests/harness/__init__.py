"""What the suites share: a server under test, a site to browse, raw clients, and the leak count."""
