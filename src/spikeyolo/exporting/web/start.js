// Browsers load no modules and no networks from files, so that nothing else of this page runs there.
if (location.protocol === "file:") {
  const status = document.getElementById("status");
  status.className = "trouble";
  status.textContent =
    "This page has to come from a server: run  python -m http.server  in its folder, and open http://localhost:8000";
}
