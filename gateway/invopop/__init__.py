"""What is known of Invopop's API: the table of its operations, and presets made of them."""
