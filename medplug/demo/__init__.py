"""The synthetic chest radiographs and the guided tour."""
