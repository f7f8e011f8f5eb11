"use strict";
const config = JSON.parse(document.getElementById("config").textContent);
for (const place of document.querySelectorAll(".plot")) {
  const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
  Plotly.newPlot(place, data, layout, config);
}
