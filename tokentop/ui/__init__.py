"""The screen: draws Snapshots, sends back actions. The only package that knows Textual."""
