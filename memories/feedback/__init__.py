"""What users say of what the machine made: thumbs, reports, and corrections that become labelled cases."""
