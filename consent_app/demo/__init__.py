"""The demo: made-up visitors on a real installation. Nothing outside this folder knows of it but its command."""
