"""What the commands print: text for people, JSON as the contract says. Never imports Textual."""
