"""F2: records to events and back, one object per connection. No I/O."""
